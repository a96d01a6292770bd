/** Ways in: a file, the camera, what is dropped or pasted. */

import { useLayoutEffect, useState } from 'preact/hooks'
import { close, openCamera, openFile, say, togglePlay } from '../state/actions'
import { backToResults, item } from '../state/start'
import { engine, layers, playing, sheet, type Layer } from '../state/state'

export function OpenButtons() {
  return (
    <div class="open">
      <label class="button primary">
        Photo or film
        <input
          type="file"
          accept="image/*,video/*"
          disabled={!engine.value}
          onChange={(event) => {
            const file = event.currentTarget.files?.[0]
            event.currentTarget.value = ''
            if (file) void openFile(file)
          }}
        />
      </label>
      <button type="button" disabled={!engine.value} onClick={() => void openCamera()}>
        Camera
      </button>
    </div>
  )
}

/** Files may be dropped anywhere. */
export function DropTarget() {
  const [over, setOver] = useState(false)
  useLayoutEffect(() => {
    const take = (data: DataTransfer | null): void => {
      const file = data?.files[0]
      if (file && engine.value) void openFile(file)
      else if (file) say('The networks are still being loaded; try again in a moment.')
    }
    const drag = (event: DragEvent): void => {
      event.preventDefault()
      setOver(true)
    }
    const leave = (event: DragEvent): void => {
      if (!event.relatedTarget) setOver(false)
    }
    const drop = (event: DragEvent): void => {
      event.preventDefault()
      setOver(false)
      take(event.dataTransfer)
    }
    const paste = (event: ClipboardEvent): void => take(event.clipboardData)
    addEventListener('dragover', drag)
    addEventListener('dragleave', leave)
    addEventListener('drop', drop)
    addEventListener('paste', paste)
    return () => {
      removeEventListener('dragover', drag)
      removeEventListener('dragleave', leave)
      removeEventListener('drop', drop)
      removeEventListener('paste', paste)
    }
  }, [])
  return over ? <div class="drop">Drop it here</div> : null
}

const LAYERS: Record<Layer, string> = { landmarks: 'Landmarks', pose: 'Pose', relief: 'Relief' }

export function StageTools() {
  const { value: own } = sheet
  if (!own) return null
  const toggle = (name: Layer): void => {
    layers.value = { ...layers.value, [name]: !layers.value[name] }
  }
  return (
    <div class="tools" role="group" aria-label="What is drawn">
      {(Object.keys(LAYERS) as Layer[]).map((name) => (
        <button key={name} type="button" aria-pressed={layers.value[name]} onClick={() => toggle(name)}>
          {LAYERS[name]}
        </button>
      ))}
      <span class="gap" />
      {own.kind !== 'photo' && (
        <button type="button" onClick={togglePlay}>
          {playing.value ? 'Stop' : 'Go on'}
        </button>
      )}
      <button type="button" onClick={item.value ? backToResults : close}>
        {item.value ? 'Back to the results' : 'Close'}
      </button>
    </div>
  )
}

/** The head, to be turned by pointer and keys. */

import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { engine, face, frame, shape, sheet, skin, sliders } from '../state/state'
import { HeadView } from '../three/headView'
import { calm, theme } from './theme'
import { useSize } from './useSize'

const STEP = 10 // degrees a key press
const LIMIT = 85
const FILM_REST = 80 // milliseconds

/** The view, for the texture of the file that can be saved. */
export const headView: { current: HeadView | null } = { current: null }

export function HeadPanel() {
  const box = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const room = useSize(box)
  const [turn, setTurn] = useState({ yaw: 0, pitch: 0 })
  const [straight, setStraight] = useState(false)
  const held = useRef<{ x: number; y: number; yaw: number; pitch: number } | null>(null)
  const drawn = useRef(-Infinity)
  const ready = engine.value
  const own = face.value
  // In a film the picture comes first: the head follows a few times a second.
  const rest = sheet.value && sheet.value.kind !== 'photo' && performance.now() - drawn.current < FILM_REST

  useLayoutEffect(() => {
    if (!ready || !canvas.current) return
    headView.current = new HeadView(canvas.current, ready.head)
    return () => {
      headView.current?.dispose()
      headView.current = null
    }
  }, [ready])

  useLayoutEffect(() => {
    const view = headView.current
    if (!view || !shape.value || !ready || rest) return
    view.setShape(shape.value)
    const photo = skin.value === 'photo' && own ? (sheet.value?.canvas ?? null) : null
    view.setPhoto(photo, own, own && sliders.value ? ready.head.vertices(own.coefficients) : shape.value)
  }, [ready, shape.value, skin.value, own, frame.value])

  useLayoutEffect(() => {
    const view = headView.current
    if (!view || !room.width || !shape.value || rest) return
    drawn.current = performance.now()
    view.turn = turn
    const dots = Math.min(devicePixelRatio, 2)
    view.draw(room.width * dots, room.height * dots, own && !straight ? own.pose.rotation : null)
  }, [ready, shape.value, skin.value, own, frame.value, turn, straight, room, theme.value])

  // With nothing open the head looks after the pointer.
  useLayoutEffect(() => {
    if (own || calm.matches) return
    const look = (event: PointerEvent): void => {
      if (held.current || !box.current) return
      const at = box.current.getBoundingClientRect()
      const [x, y] = [event.clientX - at.left - at.width / 2, event.clientY - at.top - at.height / 2]
      setTurn({ yaw: 35 * Math.tanh(x / 500), pitch: 25 * Math.tanh(y / 500) })
    }
    addEventListener('pointermove', look)
    return () => removeEventListener('pointermove', look)
  }, [own === null])

  const clamp = (value: number): number => Math.max(-LIMIT, Math.min(LIMIT, value))
  const onKey = (event: KeyboardEvent): void => {
    const move = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key]
    if (event.key === 'Home' || event.key === '0') setTurn({ yaw: 0, pitch: 0 })
    else if (move) setTurn({ yaw: turn.yaw + move[0], pitch: clamp(turn.pitch + move[1]) })
    else return
    event.preventDefault()
  }

  return (
    <section class="head" aria-label="Head in 3D">
      <div
        class="head-room"
        ref={box}
        tabIndex={0}
        role="application"
        aria-label={`Head, turned ${Math.round(turn.yaw)} degrees to the side and ${Math.round(turn.pitch)} down. Arrow keys turn it, Home turns it back.`}
        onKeyDown={onKey}
        onDblClick={() => setTurn({ yaw: 0, pitch: 0 })}
        onPointerDown={(event) => {
          held.current = { x: event.clientX, y: event.clientY, ...turn }
          event.currentTarget.setPointerCapture(event.pointerId)
        }}
        onPointerMove={(event) => {
          const from = held.current
          if (!from) return
          setTurn({ yaw: from.yaw + (event.clientX - from.x) / 2, pitch: clamp(from.pitch + (event.clientY - from.y) / 2) })
        }}
        onPointerUp={() => (held.current = null)}
        onPointerCancel={() => (held.current = null)}
      >
        <canvas ref={canvas} data-layer="head" aria-hidden="true" />
      </div>
      <div class="tools" role="group" aria-label="How the head is shown">
        <button type="button" aria-pressed={skin.value === 'photo'} disabled={!own} onClick={() => (skin.value = 'photo')}>
          Photo
        </button>
        <button type="button" aria-pressed={skin.value === 'relief' || !own} onClick={() => (skin.value = 'relief')}>
          Relief
        </button>
        <button type="button" aria-pressed={straight} disabled={!own} onClick={() => setStraight(!straight)}>
          Face forward
        </button>
      </div>
    </section>
  )
}

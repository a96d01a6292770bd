/** Files of what is on the page; they are made in the browser. */

import { glb } from '../files/glb'
import { png, save } from '../files/save'
import { json, obj } from '../files/text'
import { canvasOf, say } from '../state/actions'
import { engine, face, faces, layers, shape, sheet, units } from '../state/state'
import { headView } from './HeadPanel'
import { stageCanvases } from './Stage'

async function saveAs(kind: string): Promise<void> {
  const [ready, own, one, model] = [engine.value, sheet.value, face.value, shape.value]
  if (!ready || !own || !one || !model) return
  const stem = own.name.replace(/\.[^.]*$/, '') || 'face'
  try {
    if (kind === 'GLB') {
      const baked = headView.current?.bake() ?? null
      const texture = baked && (await png(baked))
      const file = glb(ready.head, { coefficients: one.coefficients, shape: model, units: units.value, texture })
      save(`${stem}.glb`, file as BlobPart, 'model/gltf-binary')
    } else if (kind === 'OBJ') {
      save(`${stem}.obj`, obj(ready.head, one.inPhoto(model), own.canvas.height), 'model/obj')
    } else if (kind === 'JSON') {
      const size = { width: own.canvas.width, height: own.canvas.height }
      save(`${stem}.json`, json(ready.head, own.name, size, faces.value), 'application/json')
    } else {
      save(`${stem}_drawn.png`, (await png(drawn(own.canvas))) as BlobPart, 'image/png')
    }
  } catch (error) {
    say(`The file could not be made: ${String(error)}`, true)
  }
}

/** The photo at its own size with the layers that are on. */
function drawn(photo: HTMLCanvasElement): HTMLCanvasElement {
  const canvas = canvasOf(photo.width, photo.height)
  const context = canvas.getContext('2d')!
  context.drawImage(photo, 0, 0)
  const { relief, lines, redraw } = stageCanvases
  redraw?.()
  if (relief && layers.value.relief) context.drawImage(relief, 0, 0, canvas.width, canvas.height)
  if (lines) context.drawImage(lines, 0, 0, canvas.width, canvas.height)
  return canvas
}

export function Downloads() {
  const kinds = { GLB: 'head with texture and units', OBJ: 'mesh in pixels', JSON: 'all numbers', PNG: 'this picture' }
  return (
    <section class="downloads" aria-label="Save">
      {Object.entries(kinds).map(([kind, text]) => (
        <button key={kind} type="button" disabled={!face.value} title={text} onClick={() => void saveAs(kind)}>
          <b>{kind}</b> <span>{text}</span>
        </button>
      ))}
    </section>
  )
}

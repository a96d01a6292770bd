/** The photo or film with what was found drawn over it. */

import { useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import { outline } from '../core/boxes'
import { hiddenLandmarks } from '../core/hidden'
import { chosen, engine, face, faces, frame, layers, shape, sheet } from '../state/state'
import { ReliefLayer } from '../three/reliefLayer'
import { drawFaces } from './drawFaces'
import { describe } from './words'
import { useSize } from './useSize'
import { theme } from './theme'

/** The canvases of the stage, for the picture that can be saved; `redraw` fills the relief anew. */
export const stageCanvases: { relief?: HTMLCanvasElement; lines?: HTMLCanvasElement; redraw?: () => void } = {}

export function Stage() {
  const box = useRef<HTMLDivElement>(null)
  const photo = useRef<HTMLCanvasElement>(null)
  const relief = useRef<HTMLCanvasElement>(null)
  const lines = useRef<HTMLCanvasElement>(null)
  const layer = useRef<ReliefLayer | null>(null)
  const room = useSize(box)
  const { value: own } = sheet
  const ready = engine.value

  const fit = own ? Math.min(room.width / own.canvas.width, room.height / own.canvas.height) : 0
  const [width, height] = own ? [own.canvas.width * fit, own.canvas.height * fit] : [0, 0]
  const models = useMemo(() => {
    if (!ready) return []
    return faces.value.map((one) => (one === face.value && shape.value ? shape.value : ready.head.vertices(one.coefficients)))
  }, [faces.value, face.value, shape.value, ready])

  useLayoutEffect(() => {
    Object.assign(stageCanvases, { relief: relief.current, lines: lines.current })
    return () => {
      layer.current?.dispose()
      layer.current = null
    }
  }, [])

  useLayoutEffect(() => {
    if (!own || !photo.current || !width) return
    const dots = own.kind === 'photo' ? Math.min(devicePixelRatio, 2) : 1
    for (const canvas of [photo.current, lines.current!]) {
      canvas.width = Math.round(width * dots)
      canvas.height = Math.round(height * dots)
    }
    photo.current.getContext('2d')!.drawImage(own.canvas, 0, 0, photo.current.width, photo.current.height)
    const size = { width: own.canvas.width, height: own.canvas.height }
    const pixels = { width: photo.current.width, height: photo.current.height }
    if (ready && relief.current && layers.value.relief) {
      layer.current ??= new ReliefLayer(relief.current, ready.head)
      stageCanvases.redraw = () => layer.current?.draw(faces.value, models, size, pixels)
      stageCanvases.redraw()
    }
    if (ready && (layers.value.landmarks || layers.value.pose)) {
      const hidden = layers.value.landmarks
        ? faces.value.map((one, i) => hiddenLandmarks(one.inPhoto(models[i]), ready.head.triangles, one.landmarks))
        : []
      const styles = getComputedStyle(document.documentElement)
      drawFaces(lines.current!.getContext('2d')!, faces.value, (width * dots) / own.canvas.width, {
        ...layers.value,
        hidden,
        chosen: chosen.value,
        color: styles.getPropertyValue('--point'),
        halo: styles.getPropertyValue('--halo'),
        lines: ready.settings.lines,
      })
    }
  }, [own, frame.value, faces.value, models, layers.value, chosen.value, width, height, theme.value, ready])

  const choose = (event: MouseEvent): void => {
    const at = photo.current!.getBoundingClientRect()
    const [x, y] = [(event.clientX - at.left) / fit, (event.clientY - at.top) / fit]
    const found = faces.value.findIndex(({ landmarks }) => {
      const [x0, y0, x1, y1] = outline(landmarks)
      return x > x0 && x < x1 && y > y0 && y < y1
    })
    if (found >= 0) chosen.value = found
  }

  return (
    <div class="stage" ref={box}>
      <div class="sheet" style={{ width: `${width}px`, height: `${height}px` }} onClick={choose}>
        <canvas ref={photo} role="img" aria-label={describe(own, faces.value)} />
        <canvas ref={relief} aria-hidden="true" class={layers.value.relief ? 'multiply' : 'gone'} data-layer="relief" />
        <canvas ref={lines} aria-hidden="true" data-layer="lines" />
      </div>
    </div>
  )
}

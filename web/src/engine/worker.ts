/** The networks, off the page's thread. It sees pixels, and may make no request. */

import { Analyzer } from '../core/analyzer'
import { outline, suppressed } from '../core/boxes'
import type { Face, FaceData } from '../core/face'
import { Head } from '../core/head'
import type { Picture, Settings } from '../core/types'
import { openNets, type Files } from './nets'

export type Order =
  | { kind: 'load'; files: Files & { head: ArrayBuffer }; settings: Settings; runtime: string; threads: number }
  | { kind: 'look'; id: number; bitmap: ImageBitmap; moving: boolean }

export type Report =
  | { kind: 'ready' }
  | { kind: 'faces'; id: number; faces: FaceData[]; milliseconds: number }
  | { kind: 'error'; id: number; text: string }

const DETECT_EVERY = 600 // milliseconds, while faces are followed

let analyzer: Analyzer
let followed: Face[] = []
let detected = -Infinity
const canvas = new OffscreenCanvas(1, 1)
const context = canvas.getContext('2d', { willReadFrequently: true, alpha: true })!

const report = (message: Report): void => self.postMessage(message)

self.onmessage = async ({ data: order }: MessageEvent<Order>) => {
  const id = order.kind === 'look' ? order.id : 0
  try {
    if (order.kind === 'load') {
      const nets = await openNets(order.files, order.runtime, order.threads)
      analyzer = new Analyzer(nets.detector, nets.regressor, new Head(order.files.head), order.settings)
      // The first run of a network prepares it.
      await analyzer.analyze({ width: 160, height: 120, data: new Uint8ClampedArray(4 * 160 * 120) })
      await nets.regressor.run(new Float32Array(3 * 120 * 120), 1)
      report({ kind: 'ready' })
    } else {
      const start = performance.now()
      const faces = await look(pixels(order.bitmap), order.moving)
      report({ kind: 'faces', id, faces: faces.map(plain), milliseconds: performance.now() - start })
    }
  } catch (error) {
    report({ kind: 'error', id, text: error instanceof Error ? error.message : String(error) })
  }
}

function pixels(bitmap: ImageBitmap): Picture {
  const { width, height } = bitmap
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  }
  context.clearRect(0, 0, width, height)
  context.drawImage(bitmap, 0, 0)
  bitmap.close()
  return { width, height, data: context.getImageData(0, 0, width, height).data }
}

/** Faces of a photo, or of the next frame of a film: mostly one look at each face that is known. */
async function look(picture: Picture, moving: boolean): Promise<Face[]> {
  const now = performance.now()
  const sameSize = followed[0]?.size.width === picture.width && followed[0]?.size.height === picture.height
  if (moving && sameSize && now - detected < DETECT_EVERY) {
    const { lost_below: lost } = analyzer.settings.trust
    const faces = (await analyzer.follow(picture, followed)).filter((face) => face.confidence >= lost)
    const boxes = faces.map((face) => outline(face.landmarks))
    const kept = suppressed(boxes, faces.map((face) => face.score), 0.5).sort((a, b) => a - b)
    followed = kept.map((i) => faces[i])
  } else {
    followed = await analyzer.analyze(picture)
    detected = now
  }
  return followed
}

const plain = ({ box, score, crop, params, expectedNme, landmarks, trust, size }: Face): FaceData => ({
  box, score, crop, params, expectedNme, landmarks, trust, size,
})

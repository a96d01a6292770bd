/** YuNet, first at a small size; `detection/yunet.py` and `detection/base.py`. */

import { common, descending, suppressed } from './boxes'
import { detectorInput, turnedLeft } from './resize'
import type { Box, Detection, DetectorNet, Picture, Settings } from './types'

type Options = Settings['detector']

/** The faces of a photo, best score first. */
export async function detect(picture: Picture, net: DetectorNet, options: Options): Promise<Detection[]> {
  const longest = Math.max(picture.width, picture.height)
  const looks: Detection[] = []
  let found: Detection[] = []
  for (const side of options.sides) {
    const scale = Math.min(1, side / longest)
    looks.push(...(await lookAt(picture, scale, net, options, options.threshold)))
    found = joined(looks, options)
    const sure = found.some((face) => face.score >= options.enough)
    const smallest = Math.min(...found.map(({ box }) => (box[3] - box[1]) * scale))
    if (scale === 1 || (sure && smallest >= options.small)) break
  }
  if (!found.some((face) => face.score >= options.sure)) {
    const scale = Math.min(1, options.turned_side / longest)
    for (const quarters of [1, 2, 3]) {
      const seen = await lookAt(turnedLeft(picture, quarters), scale, net, options, options.enough)
      found.push(...seen.map((face) => turnedBack(face, quarters, picture)))
    }
    found = joined(found, options)
  }
  return found
}

/** A face of a picture that was turned to the left, in the picture as it lies. */
function turnedBack(face: Detection, quarters: number, { width, height }: Picture): Detection {
  let corners: number[] = face.box
  let { points } = face
  for (let turn = quarters; turn > 0; turn--) {
    const side = turn % 2 ? width : height
    const back = (all: number[]): number[] => all.map((_, i) => (i % 2 ? all[i - 1] : side - 1 - all[i + 1]))
    corners = back(corners)
    points = back(points)
  }
  const [x0, y0, x1, y1] = corners
  const box: Box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]
  return { ...face, box, points }
}

async function lookAt(
  picture: Picture,
  scale: number,
  net: DetectorNet,
  options: Options,
  threshold: number,
): Promise<Detection[]> {
  const { planes, height, width, zoom } = detectorInput(picture, scale, options.multiple)
  const out = await net.run(planes, height, width)
  const found: Detection[] = []
  for (const stride of options.strides) {
    const [cls, obj] = [out[`cls_${stride}`], out[`obj_${stride}`]]
    const [boxes, points] = [out[`bbox_${stride}`], out[`kps_${stride}`]]
    const columns = width / stride
    for (let cell = 0; cell < cls.length; cell++) {
      const score = Math.sqrt(Math.fround(Math.min(Math.max(cls[cell] * obj[cell], 0), 1)))
      if (score < threshold) continue
      const [column, row] = [cell % columns, Math.floor(cell / columns)]
      const [dx, dy, w, h] = boxes.subarray(4 * cell, 4 * cell + 4)
      const [x, y] = [(column + dx) * stride, (row + dy) * stride]
      const [hw, hh] = [(Math.exp(w) * stride) / 2, (Math.exp(h) * stride) / 2]
      const five = Array.from(points.subarray(10 * cell, 10 * cell + 10), (v, i) =>
        i % 2 ? (row + v) * stride * zoom[1] - 0.5 : (column + v) * stride * zoom[0] - 0.5,
      )
      const box: Box = [
        (x - hw) * zoom[0] - 0.5,
        (y - hh) * zoom[1] - 0.5,
        (x + hw) * zoom[0] - 0.5,
        (y + hh) * zoom[1] - 0.5,
      ]
      found.push({ box, score, points: five })
    }
  }
  const best = descending(found.map((face) => face.score)).slice(0, options.candidates)
  return best.map((i) => found[i])
}

/** What several looks found, each face once, best score first. */
function joined(looks: Detection[], options: Options): Detection[] {
  const kept = suppressed(
    looks.map((face) => face.box),
    looks.map((face) => face.score),
    options.max_iou,
  ).map((i) => looks[i])
  return kept.filter((face) => {
    const [x0, y0, x1, y1] = face.box
    const own = (x1 - x0) * (y1 - y0)
    const isPart = kept.some(
      (other) => other.score > face.score && common(face.box, other.box) > options.part * own,
    )
    return face.score >= options.sure || !isPart
  })
}

/** The training crop of a face: centre x, y and side. */
export function cropSquare(face: Detection, weights: number[][]): [number, number, number] {
  const [x0, y0, x1, y1] = face.box
  const [w, h] = [Math.max(x1 - x0, 1e-6), Math.max(y1 - y0, 1e-6)]
  const [cx, cy, size] = [(x0 + x1) / 2, (y0 + y1) / 2, Math.sqrt(w * h)]
  const features = [1, Math.log(w / h)]
  if (weights[0].length > 2) {
    face.points.forEach((v, i) => features.push((v - (i % 2 ? cy : cx)) / size))
  }
  const [dx, dy, logScale] = weights.map((row) => row.reduce((sum, w, i) => sum + w * features[i], 0))
  return [cx + size * dx, cy + size * dy, size * Math.exp(logScale)]
}

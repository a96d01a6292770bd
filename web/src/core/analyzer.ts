/** A photo in, faces out: `pipeline/analyzer.py` and `pipeline/looks.py` with `--quality fast`. */

import { centre, cropAbout, isPossible, nextCrop, onPixels, outline, suppressed } from './boxes'
import { Face } from './face'
import type { Head } from './head'
import { cropToImage, quartersOf, turnedBack } from './pose'
import { INPUT_SIZE, cut, intoInput } from './resize'
import type { Answer, Detection, DetectorNet, Picture, Regressor, Settings, View } from './types'
import { cropSquare, detect } from './yunet'

export class Analyzer {
  constructor(
    private readonly detector: DetectorNet,
    private readonly network: Regressor,
    readonly head: Head,
    readonly settings: Settings,
  ) {
    const { frame, border, crop_rule: rule } = settings.network
    if (frame !== 'pixel' || border !== 0 || rule !== 'landmark_square') {
      throw new Error(`the page does not know networks of frame ${frame}, border ${border}, rule ${rule}`)
    }
  }

  /** The faces of a photo, best score first. */
  async analyze(picture: Picture): Promise<Face[]> {
    const found = await this.detect(picture)
    if (!found.length) return []
    const before = found.map(({ view }) => view)
    const answers = await this.look(picture, before)
    const views = await this.lookAgain(picture, before, answers)
    const faces = found.map(({ detection }, i) => this.face(picture, views[i], answers[i], detection))
    const { doubtful_below: doubtful } = this.settings.detector
    const { confirmed, min_confidence: least, same_face_iou: same } = this.settings.looks
    const needed = (face: Face): number => (face.score < doubtful ? Math.max(least, confirmed) : least)
    const kept = faces.filter((face) => face.confidence >= needed(face))
    const boxes = kept.map((face) => outline(face.landmarks))
    return suppressed(boxes, kept.map((face) => face.score), same).map((i) => kept[i])
  }

  /** One look at faces whose crops are known from the frame before. */
  async follow(picture: Picture, faces: Face[]): Promise<Face[]> {
    const views = faces.map((face) => ({
      crop: nextCrop(face.landmarks, face.crop, picture),
      quarters: quartersOfParams(face.params),
    }))
    if (!views.length) return []
    const answers = await this.look(picture, views)
    return views.map((view, i) => this.face(picture, view, answers[i], faces[i]))
  }

  private async detect(picture: Picture): Promise<{ detection: Detection; view: View }[]> {
    const options = this.settings.detector
    const out = []
    for (const detection of await detect(picture, this.detector, options)) {
      const crop = cropAbout(...cropSquare(detection, options.calibration))
      if (!isPossible(crop, picture)) continue
      out.push({ detection, view: { crop: onPixels(crop), quarters: quartersOfDetection(detection) } })
    }
    return out
  }

  private async look(picture: Picture, views: View[]): Promise<Answer[]> {
    const size = 3 * INPUT_SIZE ** 2
    const planes = new Float32Array(size * views.length)
    const rgb = this.settings.network.channels === 'RGB'
    views.forEach(({ crop, quarters }, i) => intoInput(cut(picture, crop), quarters, rgb, planes, i * size))
    const { params, expected } = await this.network.run(planes, views.length)
    const { mean, std } = this.settings.whitening
    return views.map(({ quarters }, i) => {
      const raw = Float64Array.from(mean, (m, k) => params[62 * i + k] * std[k] + m)
      return { params: turnedBack(raw, quarters), expectedNme: expected[i] }
    })
  }

  /** Looks again, about the landmarks, where that shows something else; answers are replaced. */
  private async lookAgain(picture: Picture, views: View[], answers: Answer[]): Promise<View[]> {
    const next = views.map((view, i) => ({
      crop: nextCrop(this.landmarks(answers[i], view), view.crop, picture),
      quarters: quartersOfParams(answers[i].params),
    }))
    const rows = views.flatMap((view, i) => (this.isNew(view, next[i]) ? [i] : []))
    if (!rows.length) return views
    const fresh = await this.look(picture, rows.map((i) => next[i]))
    rows.forEach((i, k) => (answers[i] = fresh[k]))
    return views.map((view, i) => (rows.includes(i) ? next[i] : view))
  }

  private isNew(old: View, next: View): boolean {
    if (old.quarters !== next.quarters) return true
    const [[ax, ay], [bx, by]] = [centre(old.crop), centre(next.crop)]
    const { same_place: place, same_size: size } = this.settings.looks
    const shift = Math.hypot(ax - bx, ay - by) / old.crop.side
    return shift > place || Math.abs(Math.log(next.crop.side / old.crop.side)) > size
  }

  private landmarks(answer: Answer, view: View): Float64Array {
    return cropToImage(this.head.decodeLandmarks(answer.params), view.crop)
  }

  private face(picture: Picture, view: View, answer: Answer, from: { box: Detection['box']; score: number }): Face {
    return new Face({
      box: from.box,
      score: from.score,
      crop: view.crop,
      params: answer.params,
      expectedNme: answer.expectedNme,
      landmarks: this.landmarks(answer, view),
      trust: this.settings.trust,
      size: { width: picture.width, height: picture.height },
    })
  }
}

const quartersOfParams = (params: ArrayLike<number>): number => quartersOf(-params[1], params[5])

function quartersOfDetection({ points }: Detection): number {
  const middle = (a: number, b: number, c: number): number => (points[2 * a + c] + points[2 * b + c]) / 2
  return quartersOf(middle(3, 4, 0) - middle(0, 1, 0), middle(3, 4, 1) - middle(0, 1, 1))
}

/** Shared shapes. Frames are those of the Python package: `image` has 0-based pixel centres, y down. */

export interface Picture {
  width: number
  height: number
  /** RGBA, 4 bytes a pixel. */
  data: Uint8ClampedArray
}

/** A square; `left` and `top` are edges of pixels, so that a whole 10 x 10 photo begins at -0.5. */
export interface CropBox {
  left: number
  top: number
  side: number
}

export type Box = [number, number, number, number]

export interface Detection {
  box: Box
  score: number
  /** Right eye, left eye, nose tip, right and left corner of the mouth; x, y each. */
  points: number[]
}

/** A face as the network sees it: crops are turned to the left by `quarters` to stand upright. */
export interface View {
  crop: CropBox
  quarters: number
}

export interface Answer {
  /** 62 raw parameters, valid in the crop as it lies in the photo. */
  params: Float64Array
  expectedNme: number
}

/** settings.json: the constants of `--quality fast`, as the server reads them from the package. */
export interface Settings {
  whitening: { mean: number[]; std: number[] }
  network: { architecture: string; frame: string; border: number; channels: string; crop_rule: string }
  detector: {
    sides: number[]
    threshold: number
    enough: number
    small: number
    turned_side: number
    doubtful_below: number
    sure: number
    part: number
    max_iou: number
    candidates: number
    strides: number[]
    multiple: number
    calibration: number[][]
  }
  looks: { same_place: number; same_size: number; same_face_iou: number; confirmed: number; min_confidence: number }
  trust: { usable_nme: number; steepness: number; lost_below: number }
  lines: [number, number, boolean][]
}

/** Crops in, whitened parameters out. */
export interface Regressor {
  run(planes: Float32Array, count: number): Promise<{ params: Float32Array; expected: Float32Array }>
}

/** B, G, R planes in 0..255 in; outputs of YuNet by name out. */
export interface DetectorNet {
  run(planes: Float32Array, height: number, width: number): Promise<Record<string, Float32Array>>
}

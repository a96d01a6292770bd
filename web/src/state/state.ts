/** What the page knows. Parts read it, actions write it. */

import { computed, signal } from '@preact/signals'
import type { Face } from '../core/face'
import { unitWeights } from '../core/units'
import type { Engine } from '../engine/engine'

/** A picture on the page, or a film's current frame; `canvas` holds its pixels. */
export interface Sheet {
  kind: 'photo' | 'film' | 'camera'
  name: string
  canvas: HTMLCanvasElement
}

export type Layer = 'landmarks' | 'pose' | 'relief'

export const engine = signal<Engine | null>(null)
/** A sentence for the reader, and whether it tells of a failure. */
export const notice = signal<{ text: string; failed: boolean } | null>(null)
export const sheet = signal<Sheet | null>(null)
/** Counts the frames that `sheet.canvas` has shown: what draws it depends on this. */
export const frame = signal(0)
export const faces = signal<Face[]>([])
export const busy = signal(false)
export const playing = signal(false)
export const chosen = signal(0)
export const layers = signal<Record<Layer, boolean>>({ landmarks: true, pose: true, relief: true })
export const skin = signal<'photo' | 'relief'>('photo')
/** Weights of the units as the reader set them; null while they follow the face. */
export const sliders = signal<Float64Array | null>(null)
/** Milliseconds of the last look, and frames a second of a film. */
export const took = signal(0)
export const rate = signal(0)

export const face = computed<Face | null>(() => faces.value[Math.min(chosen.value, faces.value.length - 1)] ?? null)

/** Weights of the 52 units as the network sees them. */
export const seenUnits = computed<Float64Array>(() => {
  const { value: engineNow } = engine
  if (!engineNow) return new Float64Array(52)
  return face.value ? unitWeights(face.value.coefficients.slice(40), engineNow.head) : new Float64Array(52)
})

export const units = computed(() => sliders.value ?? seenUnits.value)

/** (V, 3) vertices of the chosen face in the model frame, or of the mean one. */
export const shape = computed<Float32Array | null>(() => {
  const { value: engineNow } = engine
  if (!engineNow) return null
  const vertices = engineNow.head.vertices(face.value?.coefficients ?? new Array<number>(50).fill(0))
  const set = sliders.value
  if (set) engineNow.head.addUnits(vertices, set.map((weight, u) => weight - seenUnits.value[u]))
  return vertices
})

if (import.meta.env.DEV) Object.assign(globalThis, { faces, engine })

/**
 * Binary glTF 2.0: the person without expression, the 52 units as morph targets with the weights
 * that the page shows, and one more target for what the units leave over; as `synergynet infer`
 * writes it. Millimetres, which the node scales to metres; x to the subject's left, y up.
 */

import type { Head } from '../core/head'
import { normals } from '../core/surface'

const [SHORT, FLOAT] = [5123, 5126]
const [VERTEX, INDEX] = [34962, 34963]
const RESIDUAL = 'expressionResidual'
const STILL = 1e-6

type Json = Record<string, unknown>

class Buffer {
  readonly parts: Uint8Array[] = []
  readonly views: Json[] = []
  readonly accessors: Json[] = []
  length = 0

  view(data: ArrayBufferView, target?: number): number {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    this.views.push({ buffer: 0, byteOffset: this.length, byteLength: bytes.length, ...(target && { target }) })
    this.push(bytes)
    this.push(new Uint8Array(-bytes.length & 3))
    return this.views.length - 1
  }

  add(accessor: Json): number {
    this.accessors.push(accessor)
    return this.accessors.length - 1
  }

  vectors(values: Float32Array, size: 2 | 3, withBounds = false): number {
    const accessor = { count: values.length / size, componentType: FLOAT, type: `VEC${size}` }
    return this.add({ ...accessor, bufferView: this.view(values, VERTEX), ...(withBounds && bounds(values)) })
  }

  /** A morph target; mostly few vertices move. */
  moves(values: Float32Array): number {
    const moved: number[] = []
    for (let v = 0; v < values.length / 3; v++) {
      if ([0, 1, 2].some((c) => Math.abs(values[3 * v + c]) > STILL)) moved.push(v)
    }
    if (14 * moved.length > 4 * values.length) return this.vectors(values, 3, true)
    const accessor: Json = { count: values.length / 3, componentType: FLOAT, type: 'VEC3', ...bounds(values) }
    if (moved.length) {
      const kept = Float32Array.from(moved.flatMap((v) => [values[3 * v], values[3 * v + 1], values[3 * v + 2]]))
      accessor.sparse = {
        count: moved.length,
        indices: { bufferView: this.view(Uint16Array.from(moved)), componentType: SHORT },
        values: { bufferView: this.view(kept) },
      }
    }
    return this.add(accessor)
  }

  private push(bytes: Uint8Array): void {
    this.parts.push(bytes)
    this.length += bytes.length
  }
}

export interface Person {
  /** 40 of identity, 10 of expression. */
  coefficients: number[]
  /** (V, 3) what the page shows. */
  shape: Float32Array
  /** Weights of the units. */
  units: ArrayLike<number>
  /** A PNG by the head's texture coordinates, or null for grey. */
  texture: Uint8Array | null
}

/** @returns the file. */
export function glb(head: Head, person: Person): Uint8Array {
  const opened = (values: Float32Array): Float32Array => {
    const out = new Float32Array(3 * head.uvSource.length)
    head.uvSource.forEach((v, i) => out.set(values.subarray(3 * v, 3 * v + 3), 3 * i))
    return out
  }
  const neutral = head.vertices([...person.coefficients.slice(0, 40), ...new Array<number>(10).fill(0)])
  const residual = person.shape.map((v, i) => v - neutral[i])
  head.addUnits(residual, Array.from(person.units, (w) => -w))
  const buffer = new Buffer()
  const attributes: Json = {
    POSITION: buffer.vectors(opened(neutral), 3, true),
    NORMAL: buffer.vectors(unit(opened(normals(neutral, head.triangles))), 3),
    TEXCOORD_0: buffer.vectors(head.uv.map((v, i) => (i % 2 ? 1 - v : v)), 2),
  }
  const material: Json = {
    name: 'face',
    doubleSided: true,
    pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 1 } as Json,
    extensions: { KHR_materials_unlit: {} },
  }
  const index = buffer.view(head.uvTriangles, INDEX)
  const indices = buffer.add({ count: head.uvTriangles.length, componentType: SHORT, type: 'SCALAR', bufferView: index })
  const targets = [...head.unitNames.map((_, u) => head.unit(u)), residual].map((moves) => ({
    POSITION: buffer.moves(opened(moves)),
  }))
  const document: Json = {
    asset: { version: '2.0', generator: 'synergynet' },
    extensionsUsed: ['KHR_materials_unlit'],
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ name: 'face', mesh: 0, scale: [0.001, 0.001, 0.001] }],
    materials: [material],
    meshes: [
      {
        name: 'face',
        primitives: [{ attributes, indices, material: 0, targets }],
        weights: [...Array.from(person.units), 1],
        extras: { targetNames: [...head.unitNames, RESIDUAL] },
      },
    ],
  }
  if (person.texture) {
    document.images = [{ bufferView: buffer.view(person.texture), mimeType: 'image/png' }]
    document.samplers = [{ magFilter: 9729, minFilter: 9987, wrapS: 33071, wrapT: 33071 }]
    document.textures = [{ source: 0, sampler: 0 }]
    ;(material.pbrMetallicRoughness as Json).baseColorTexture = { index: 0 }
  }
  document.accessors = buffer.accessors
  document.bufferViews = buffer.views
  document.buffers = [{ byteLength: buffer.length }]
  return pack(document, buffer)
}

function pack(document: Json, buffer: Buffer): Uint8Array {
  let text = JSON.stringify(document)
  text += ' '.repeat(-new TextEncoder().encode(text).length & 3)
  const json = new TextEncoder().encode(text)
  const out = new Uint8Array(12 + 8 + json.length + 8 + buffer.length)
  const view = new DataView(out.buffer)
  const words = [0x46546c67, 2, out.length, json.length, 0x4e4f534a]
  words.forEach((word, i) => view.setUint32(4 * i, word, true))
  out.set(json, 20)
  view.setUint32(20 + json.length, buffer.length, true)
  view.setUint32(24 + json.length, 0x004e4942, true)
  let at = 28 + json.length
  for (const part of buffer.parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function bounds(values: Float32Array): Json {
  const min = [Infinity, Infinity, Infinity]
  const max = [-Infinity, -Infinity, -Infinity]
  values.forEach((v, i) => {
    min[i % 3] = Math.min(min[i % 3], v)
    max[i % 3] = Math.max(max[i % 3], v)
  })
  return { min, max }
}

function unit(vectors: Float32Array): Float32Array {
  for (let i = 0; i < vectors.length; i += 3) if (!vectors[i] && !vectors[i + 1] && !vectors[i + 2]) vectors[i + 2] = 1
  return vectors
}

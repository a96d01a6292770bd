/** The arithmetic against numbers that the Python package and OpenCV gave (numbers.json). */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { cropOfLandmarks, isPossible, nextCrop, onPixels, overlap, suppressed } from '../src/core/boxes'
import { hiddenLandmarks } from '../src/core/hidden'
import { round, rounded } from '../src/core/numbers'
import { decompose, euler, poseOf, quartersOf, quaternion, turnedBack } from '../src/core/pose'
import { cut, detectorInput, intoInput, turnedLeft } from '../src/core/resize'
import type { Picture } from '../src/core/types'
import { boundedMinimum } from '../src/core/units'

interface Numbers {
  cuts: { box: [number, number, number]; sha256: string }[]
  inputs: { side: number; shape: number[]; zoom: number[]; sha256: string }[]
  poses: { camera: number[]; scale: number; rotation: number[]; euler: number[]; quaternion: number[]; quarter: number[] }[]
}
const numbers = JSON.parse(readFileSync(new URL('numbers.json', import.meta.url), 'utf8')) as Numbers

/** 300 x 260, the same as in numbers.json. */
function picture(): Picture {
  const [width, height] = [300, 260]
  const data = new Uint8ClampedArray(4 * width * height)
  for (let i = 0; i < width * height * 3; i++) {
    data[4 * Math.floor(i / 3) + (i % 3)] = (i * 7919 + (i >> 3) * 104729) % 251
  }
  return { width, height, data }
}

const sha256 = (values: Float32Array): string => createHash('sha256').update(Uint8Array.from(values)).digest('hex')
const close = (got: ArrayLike<number>, want: ArrayLike<number>, digits = 9): void => {
  expect(got.length).toBe(want.length)
  for (let i = 0; i < want.length; i++) expect(got[i]).toBeCloseTo(want[i], digits)
}

describe('pixels', () => {
  for (const { box: [left, top, side], sha256: want } of numbers.cuts) {
    it(`a crop of ${side} pixels is OpenCV's, bit by bit`, () => {
      expect(sha256(cut(picture(), { left, top, side }).data)).toBe(want)
    })
  }
  for (const { side, shape, zoom, sha256: want } of numbers.inputs) {
    it(`the detector's input of ${side} pixels is OpenCV's, bit by bit`, () => {
      const got = detectorInput(picture(), Math.min(1, side / 300), 32)
      expect([got.height, got.width]).toEqual(shape)
      close(got.zoom, zoom)
      expect(sha256(got.planes)).toBe(want)
    })
  }
  it('turning four times by a quarter changes nothing', () => {
    const own = picture()
    let turned = own
    for (let i = 0; i < 4; i++) turned = turnedLeft(turned, 1)
    const same = (a: Picture, b: Picture): boolean => Buffer.compare(Buffer.from(a.data.buffer), Buffer.from(b.data.buffer)) === 0
    expect(same(turned, own)).toBe(true)
    expect(same(turnedLeft(own, 2), turnedLeft(turnedLeft(own, 1), 1))).toBe(true)
    expect(same(turnedLeft(own, 3), turnedLeft(turnedLeft(own, 2), 1))).toBe(true)
  })
  it('a crop turned for the network is the crop of the turned photo', () => {
    const own = picture()
    const [plain, turned] = [new Float32Array(43200), new Float32Array(43200)]
    intoInput(cut(turnedLeft(own, 1), { left: 9.5, top: 99.5, side: 120 }), 0, false, plain, 0)
    intoInput(cut(own, { left: 79.5, top: 9.5, side: 120 }), 1, false, turned, 0)
    expect(Buffer.compare(Buffer.from(turned.buffer), Buffer.from(plain.buffer))).toBe(0)
  })
})

describe('pose', () => {
  numbers.poses.forEach((want, i) => {
    it(`camera ${i} is taken apart as in Python`, () => {
      const { scale, rotation } = decompose(want.camera)
      expect(scale).toBeCloseTo(want.scale, 9)
      close(rotation, want.rotation)
      const angles = euler(rotation)
      close([angles.pitch, angles.yaw, angles.roll], want.euler, 6)
      close(quaternion(rotation), want.quaternion)
      const params = Float64Array.from([...want.camera, ...new Array<number>(50).fill(0)])
      close(turnedBack(params, 1).subarray(0, 12), want.quarter)
      close(turnedBack(params, 4), params)
    })
  })
  it('is a number even for a camera without size', () => {
    const pose = poseOf(new Float64Array(62), { left: 0, top: 0, side: 120 })
    expect(Number.isFinite(pose.yaw + pose.pitch + pose.roll)).toBe(true)
  })
  it('counts quarters by where the chin is', () => {
    expect([[0, 1], [-1, 0], [0, -1], [1, 0]].map(([x, y]) => quartersOf(x, y))).toEqual([0, 1, 2, 3])
    expect(quartersOf(NaN, 1)).toBe(0)
  })
})

describe('boxes', () => {
  it('round halves to even, as Python does', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4].map(round)).toEqual([0, 2, 2, 0, -2, 2])
    expect(Object.is(rounded(-0.0001, 2), 0)).toBe(true)
  })
  it('overlap and suppress as in Python', () => {
    expect(overlap([0, 0, 2, 2], [1, 0, 3, 2])).toBeCloseTo(1 / 3)
    expect(suppressed([[0, 0, 2, 2], [0, 0, 2, 2.1], [5, 5, 6, 6]], [0.5, 0.9, 0.7], 0.5)).toEqual([1, 2])
  })
  it('follow the landmarks, but no wild ones', () => {
    const size = { width: 640, height: 480 }
    const crop = { left: 80.5, top: 80.5, side: 100 }
    expect(nextCrop([100, 100, 0, 170, 150, 0], crop, size)).toEqual({ left: 85.5, top: 75.5, side: 99 })
    expect(nextCrop([100, 100, 0, 100.1, 100, 0], crop, size)).toBe(crop)
    expect(nextCrop([NaN, 100, 0, 170, 150, 0], crop, size)).toBe(crop)
    expect(cropOfLandmarks([0, 0, 0, 10, 4, 0]).side).toBeCloseTo(14.142, 3)
    expect(onPixels({ left: 0.2, top: 0.2, side: 0.1 }).side).toBe(1)
    expect(isPossible({ left: NaN, top: 0, side: 10 }, size)).toBe(false)
  })
})

describe('units', () => {
  it('minimise within bounds', () => {
    close(boundedMinimum([2, 1, 1, 2], [4, -1], [1.5, 1]), [1.5, 0])
  })
})

describe('hidden points', () => {
  it('lie behind the surface', () => {
    const square = Float32Array.from([0, 0, 50, 100, 0, 50, 100, 100, 50, 0, 100, 50])
    expect(hiddenLandmarks(square, Uint16Array.from([0, 1, 2, 0, 2, 3]), [50, 50, 60, 50, 50, 0])).toEqual([false, true])
  })
})

/** What the reader can do. */

import { batch, signal } from '@preact/signals'
import type { Face } from '../core/face'
import { overlap, outline, type Size } from '../core/boxes'
import { faceOf, type FaceJson } from '../core/fromJson'
import { calm } from '../parts/theme'
import { busy, chosen, engine, faces, frame, notice, playing, rate, sheet, sliders, took, type Sheet } from './state'

const MOST_PIXELS = 50e6
const FILM_SIDE = 1280 // longer sides of films are scaled down to this

let stopFilm: (() => void) | null = null

export function say(text: string | null, failed = false): void {
  notice.value = text === null ? null : { text, failed }
}

/** A file that was dropped or chosen. */
export async function openFile(file: File): Promise<void> {
  if (file.type.startsWith('video/')) return openFilm(file.name, URL.createObjectURL(file))
  await openPhoto(file.name, file)
}

export async function openPhoto(name: string, file: Blob): Promise<void> {
  close()
  say(null)
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' })
  } catch {
    return say(`${name} is not a photo or film that this browser can read. Try JPEG, PNG, WebP or MP4.`, true)
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    return say(`${name} has ${bitmap.width} × ${bitmap.height} pixels; scale it down to 50 megapixels.`, true)
  }
  await showBitmap(name, bitmap)
}

async function showBitmap(name: string, bitmap: ImageBitmap): Promise<void> {
  const canvas = canvasOf(bitmap.width, bitmap.height)
  canvas.getContext('2d')!.drawImage(bitmap, 0, 0)
  const own: Sheet = { kind: 'photo', name, canvas }
  show(own)
  busy.value = true
  try {
    const { value: ready } = engine
    if (!ready) return
    const look = await ready.look(bitmap, false)
    if (sheet.value !== own) return
    batch(() => {
      faces.value = look.faces
      chosen.value = 0
      took.value = look.milliseconds
    })
    const n = look.faces.length
    say(n ? `${n} face${n === 1 ? '' : 's'} found.` : 'No face found in this photo.')
  } catch (error) {
    say(`The photo could not be analysed: ${String(error)}`, true)
  } finally {
    busy.value = false
  }
}

/** Shows something, without faces yet. */
export function show(next: Sheet, found: Face[] = []): void {
  batch(() => {
    sheet.value = next
    faces.value = found
    sliders.value = null
    chosen.value = 0
    frame.value++
  })
}

export async function openFilm(name: string, url: string): Promise<void> {
  close()
  say(null)
  const video = videoElement()
  video.src = url
  video.loop = true
  await start(video, 'film', name, () => url.startsWith('blob:') && URL.revokeObjectURL(url))
}

export async function openCamera(): Promise<void> {
  close()
  say('Waiting for the camera …')
  let stream: MediaStream
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: 'user' } })
  } catch (error) {
    const denied = error instanceof DOMException && error.name === 'NotAllowedError'
    return say(denied ? 'The browser was not allowed to use the camera.' : 'There is no camera that can be used.', true)
  }
  say(null)
  const video = videoElement()
  video.srcObject = stream
  await start(video, 'camera', 'camera', () => stream.getTracks().forEach((track) => track.stop()))
}

/** Ends film and camera and clears the sheet. */
export function close(): void {
  stopFilm?.()
  stopFilm = null
  batch(() => {
    sheet.value = null
    faces.value = []
    sliders.value = null
    playing.value = false
    rate.value = 0
  })
}

/** Stops or goes on. */
export function togglePlay(): void {
  playing.value = !playing.value
}

function videoElement(): HTMLVideoElement {
  const video = document.createElement('video')
  video.muted = true
  video.playsInline = true
  return video
}

/**
 * Frame by frame: each is drawn, analysed, and shown with its own faces, so that lines never lag
 * behind the picture. What comes while the networks work is skipped.
 */
async function start(video: HTMLVideoElement, kind: 'film' | 'camera', name: string, release: () => void): Promise<void> {
  let going = true
  stopFilm = () => {
    going = false
    video.pause()
    video.removeAttribute('src')
    video.srcObject = null
    release()
  }
  try {
    await video.play()
  } catch {
    stopFilm()
    return say(`${name} is not a film that this browser can play. Try MP4 (H.264) or WebM.`, true)
  }
  const scale = Math.min(1, FILM_SIDE / Math.max(video.videoWidth, video.videoHeight))
  const [width, height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)]
  let [front, back] = [canvasOf(width, height), canvasOf(width, height)]
  playing.value = true
  const times: number[] = []
  let seen = -1
  while (going) {
    if (!playing.value || !engine.value || document.hidden) {
      if (!playing.value && !video.paused) video.pause()
      await pause(60)
      continue
    }
    if (video.paused) await video.play().catch(() => undefined)
    if (video.currentTime === seen) {
      await nextFrame(video)
      continue
    }
    seen = video.currentTime
    back.getContext('2d')!.drawImage(video, 0, 0, width, height)
    const look = await engine.value.look(await createImageBitmap(back), true).catch((error: unknown) => {
      say(`A frame could not be analysed: ${String(error)}`, true)
      return null
    })
    if (!going || !look) break
    ;[front, back] = [back, front]
    const before = sheet.value ? faces.value[chosen.value] : undefined
    batch(() => {
      sheet.value = { kind, name, canvas: front }
      faces.value = look.faces
      chosen.value = sameFace(before, look.faces)
      took.value = look.milliseconds
      frame.value++
    })
    const now = performance.now()
    times.push(now)
    while (times[0] < now - 1000) times.shift()
    rate.value = times.length > 1 ? ((times.length - 1) * 1000) / (now - times[0]) : 0
  }
}

/** Where a film of lines stands, and its length; null otherwise. */
export const timeline = signal<{ at: number; count: number } | null>(null)
let seekTo: ((number: number) => void) | null = null

export const seek = (number: number): void => seekTo?.(number)

/** A film whose faces were found before, with its pictures if they are there. */
export function playLines(name: string, size: Size, lines: string[], url: string | null): void {
  close()
  const ready = engine.value
  const rows = lines.filter((line) => line.trim() !== '')
  if (!ready || !rows.length) return say(`${name} holds no frames.`, true)
  let going = true
  let at = -1
  const video = url === null ? null : videoElement()
  if (video && url) {
    video.src = url
    video.preload = 'auto'
  }
  const canvas = canvasOf(size.width, size.height)
  const context = canvas.getContext('2d')!
  const rowOf = (number: number): { time: number; faces: FaceJson[] } => JSON.parse(rows[number])
  const length = rows.length > 1 ? (rowOf(rows.length - 1).time * rows.length) / (rows.length - 1) : 1
  const draw = async (number: number): Promise<void> => {
    at = number
    const row = rowOf(number)
    if (video) {
      if (Math.abs(video.currentTime - row.time) > 1e-4) {
        video.currentTime = row.time + 1e-4
        await Promise.race([new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true })), pause(1000)])
      }
      context.drawImage(video, 0, 0, size.width, size.height)
    }
    if (!going) return
    batch(() => {
      sheet.value = { kind: 'film', name, canvas }
      faces.value = row.faces.map((json) => faceOf(json, size, ready.settings.trust))
      chosen.value = Math.min(chosen.value, Math.max(0, row.faces.length - 1))
      timeline.value = { at: number, count: rows.length }
      frame.value++
    })
  }
  seekTo = (number) => {
    playing.value = false
    void draw(number).catch(failed)
  }
  stopFilm = () => {
    going = false
    timeline.value = seekTo = null
    video?.removeAttribute('src')
  }
  const failed = (error: unknown): void => say(`${name} has a broken line: ${String(error)}`, true)
  const run = async (): Promise<void> => {
    if (video) await Promise.race([new Promise((resolve) => video.addEventListener('loadeddata', resolve, { once: true })), pause(5000)])
    await draw(0)
    playing.value = !calm.matches
    while (going) {
      const begun = performance.now()
      if (playing.value && !document.hidden) await draw((at + 1) % rows.length)
      await pause(Math.max(15, (length / rows.length) * 1000 - (performance.now() - begun)))
      rate.value = 1000 / (performance.now() - begun)
    }
  }
  void run().catch(failed)
}

/** The number of the face that was chosen before, wherever it is in the list now. */
function sameFace(before: Face | undefined, now: Face[]): number {
  if (!before || !now.length) return 0
  const own = outline(before.landmarks)
  const shared = now.map((face) => overlap(own, outline(face.landmarks)))
  return shared.indexOf(Math.max(...shared))
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Waits for another frame, but not for ever: films may end, cameras may stall. */
function nextFrame(video: HTMLVideoElement): Promise<void> {
  return Promise.race([new Promise<void>((resolve) => video.requestVideoFrameCallback(() => resolve())), pause(100)])
}

/** A canvas in memory, not on the graphics card: its pixels are read for every frame. */
export function canvasOf(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  canvas.getContext('2d', { willReadFrequently: true })
  return canvas
}

/** What the page was opened with: `synergynet view`. */

import { signal } from '@preact/signals'
import { faceOf, type FaceJson } from '../core/fromJson'
import { here } from '../engine/engine'
import type { Fetcher } from '../engine/fetcher'
import { canvasOf, close, openFilm, openPhoto, playLines, say, show } from './actions'
import { engine } from './state'

export interface Item {
  name: string
  width: number
  height: number
  photo: number | null
  sheet: number
  pictures: Record<string, number>
  count: number
  faces: { confidence: number | null; error: number | null; yaw: number; points: number[] }[]
}

export interface WorstFace {
  name: string
  error: number
  truth: number[]
  landmarks: number[]
  crop: number | null
}

export type Start =
  | { kind: 'page' }
  | { kind: 'photo' | 'film'; name: string; file: number }
  | { kind: 'results'; name: string; items: Item[] }
  | { kind: 'lines'; name: string; width: number; height: number; lines: number; film: number | null }
  | { kind: 'evaluation'; name: string; faces: WorstFace[] }

export const start = signal<Start>({ kind: 'page' })
/** The result that is open. */
export const item = signal<Item | null>(null)

export const fileUrl = (number: number): string => here(`view/${number}`)

let courier: Fetcher | null = null

/** Opens it, once the networks are there. */
export async function begin(own: Start, fetcher: Fetcher): Promise<void> {
  start.value = own
  if (own.kind === 'photo') await openPhoto(own.name, new Blob([await fetcher.get(fileUrl(own.file))]))
  else if (own.kind === 'film') void openFilm(own.name, fileUrl(own.file))
  else if (own.kind === 'lines') {
    const text = new TextDecoder().decode(await fetcher.get(fileUrl(own.lines)))
    playLines(own.name, own, text.split('\n'), own.film === null ? null : fileUrl(own.film))
  }
  if (own.kind === 'results') courier = fetcher
  else fetcher.close()
}

export async function openItem(own: Item): Promise<void> {
  close()
  item.value = own
  const { value: ready } = engine
  if (!ready || !courier) return
  try {
    const canvas = canvasOf(own.width, own.height)
    if (own.photo !== null) {
      const picture = new Image()
      picture.src = fileUrl(own.photo)
      await picture.decode()
      canvas.getContext('2d')!.drawImage(picture, 0, 0, own.width, own.height)
    }
    const { faces } = await courier.json<{ faces: FaceJson[] }>(fileUrl(own.sheet))
    if (item.value !== own) return
    show(
      { kind: 'photo', name: own.name, canvas },
      faces.map((json) => faceOf(json, own, ready.settings.trust)),
    )
    say(own.photo === null ? 'The photo is not where it was: open the results with --photos FOLDER.' : null)
  } catch (error) {
    say(`${own.name} cannot be shown: ${error instanceof Error ? error.message : String(error)}`, true)
  }
}

export function backToResults(): void {
  item.value = null
  close()
}

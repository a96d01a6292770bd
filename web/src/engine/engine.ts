import { Face } from '../core/face'
import { Head } from '../core/head'
import type { Settings } from '../core/types'
import { Fetcher } from './fetcher'
import type { Order, Report } from './worker'

export interface Look {
  faces: Face[]
  milliseconds: number
}

const MOST_THREADS = 4

/** The page's side of the worker that runs the networks. */
export class Engine {
  private readonly waiting = new Map<number, { resolve: (look: Look) => void; reject: (error: Error) => void }>()
  private count = 0

  private constructor(
    private readonly worker: Worker,
    readonly head: Head,
    readonly settings: Settings,
  ) {
    worker.onmessage = ({ data }: MessageEvent<Report>) => this.hear(data)
  }

  /** Fetches everything, then starts the networks. */
  static async load(fetcher: Fetcher): Promise<Engine> {
    const files = ['ort.wasm', 'yunet.onnx', 'slim.onnx', 'head.bin'].map((name) => fetcher.get(here(name)))
    const [wasm, yunet, slim, head] = await Promise.all(files)
    const settings = await fetcher.json<Settings>(here('settings.json'))
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'engine' })
    // Half the processors: the page draws meanwhile, and a thread that waits for another costs more
    // than it gains in networks this small.
    const half = Math.floor((navigator.hardwareConcurrency || 1) / 2)
    const threads = crossOriginIsolated ? Math.min(Math.max(half, 1), MOST_THREADS) : 1
    const ready = new Promise<void>((resolve, reject) => {
      worker.onerror = (event) => reject(new Error(event.message || 'the engine did not start'))
      worker.onmessage = ({ data }: MessageEvent<Report>) => {
        if (data.kind === 'ready') resolve()
        else if (data.kind === 'error') reject(new Error(data.text))
      }
    })
    const order: Order = {
      kind: 'load',
      files: { wasm, yunet, slim, head },
      settings,
      runtime: here('ort.mjs'),
      threads,
    }
    worker.postMessage(order, [wasm, yunet, slim])
    const own = new Head(head)
    await ready
    return new Engine(worker, own, settings)
  }

  /** The faces of a picture, which is used up. `moving`: it is the next frame of a film. */
  look(bitmap: ImageBitmap, moving: boolean): Promise<Look> {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.count, { resolve, reject })
      const order: Order = { kind: 'look', id: this.count, bitmap, moving }
      this.worker.postMessage(order, [bitmap])
    })
  }

  private hear(data: Report): void {
    if (data.kind === 'ready') return
    const one = this.waiting.get(data.id)
    this.waiting.delete(data.id)
    if (data.kind === 'error') one?.reject(new Error(data.text))
    else one?.resolve({ faces: data.faces.map((face) => new Face(face)), milliseconds: data.milliseconds })
  }
}

/** The address of a file beside the page. */
export const here = (name: string): string => new URL(name, document.baseURI).href

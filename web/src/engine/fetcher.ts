import type { Delivery } from './courier'

type Waiting = { resolve: (data: ArrayBuffer) => void; reject: (error: Error) => void }

/** The courier's address book: asks it for files. It ends with `close`, and with it all requests. */
export class Fetcher {
  private readonly worker = new Worker(new URL('./courier.ts', import.meta.url), {
    type: 'module',
    name: 'courier',
  })
  private readonly waiting = new Map<number, Waiting>()
  private count = 0

  constructor() {
    this.worker.onmessage = ({ data: { id, data, error } }: MessageEvent<Delivery>) => {
      const one = this.waiting.get(id)
      this.waiting.delete(id)
      if (data) one?.resolve(data)
      else one?.reject(new Error(error))
    }
    this.worker.onerror = () => {
      for (const one of this.waiting.values()) one.reject(new Error('the courier did not start'))
    }
  }

  get(url: string): Promise<ArrayBuffer> {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.count, { resolve, reject })
      this.worker.postMessage({ id: this.count, url })
    })
  }

  async json<T>(url: string): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.get(url))) as T
  }

  close(): void {
    this.worker.terminate()
  }
}

/**
 * Fetches what the page needs, and nothing else. The only part of the page that may make requests
 * is this worker, and pixels never reach it: it is handed addresses and hands back bytes.
 */

export type Errand = { id: number; url: string }
export type Delivery = { id: number; data?: ArrayBuffer; error?: string }

self.onmessage = async ({ data: { id, url } }: MessageEvent<Errand>) => {
  try {
    const answer = await fetch(url, { method: 'GET' })
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}`)
    const data = await answer.arrayBuffer()
    self.postMessage({ id, data } satisfies Delivery, { transfer: [data] })
  } catch (error) {
    self.postMessage({ id, error: String(error) } satisfies Delivery)
  }
}

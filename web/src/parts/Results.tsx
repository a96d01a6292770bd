/** The results of a folder: a grid, and the pictures that were drawn for one of its photos. */

import { computed, signal } from '@preact/signals'
import { fileUrl, item, openItem, start, type Item } from '../state/start'
import { engine } from '../state/state'
import { LineFace } from './LineFace'
import { degrees, percent } from './words'

type Order = 'name' | 'doubtful' | 'error' | 'yaw' | 'faces'

const ORDERS: Record<Order, string> = {
  name: 'Name',
  doubtful: 'Least confident first',
  error: 'Largest expected error first',
  yaw: 'Most turned first',
  faces: 'Most faces first',
}
const PAGE = 120

const words = signal('')
const order = signal<Order>('name')
const shown = signal(PAGE)

const least = (own: Item): number => Math.min(...own.faces.map((face) => face.confidence ?? 1), 2)
const largest = (own: Item, of: (face: Item['faces'][number]) => number): number => Math.max(...own.faces.map(of), -1)

/** What is smaller comes first. */
const RANK: Record<Order, (own: Item) => number> = {
  name: () => 0,
  doubtful: least,
  error: (own) => -largest(own, (face) => face.error ?? 0),
  yaw: (own) => -largest(own, (face) => Math.abs(face.yaw)),
  faces: (own) => -own.count,
}

const found = computed<Item[]>(() => {
  if (start.value.kind !== 'results') return []
  const wanted = words.value.trim().toLowerCase()
  const items = start.value.items.filter((own) => own.name.toLowerCase().includes(wanted))
  const rank = RANK[order.value]
  return items.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name))
})

export function Results() {
  if (start.value.kind !== 'results') return null
  const { value: all } = found
  return (
    <section class="results" aria-labelledby="results-title">
      <header>
        <h2 id="results-title">{start.value.name}</h2>
        <label>
          Search
          <input
            type="search"
            value={words.value}
            onInput={(event) => {
              words.value = event.currentTarget.value
              shown.value = PAGE
            }}
          />
        </label>
        <label>
          Order
          <select value={order.value} onChange={(event) => (order.value = event.currentTarget.value as Order)}>
            {Object.entries(ORDERS).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <output>{all.length} photos</output>
      </header>
      <ul class="grid">
        {all.slice(0, shown.value).map((own) => (
          <Tile key={own.name} own={own} />
        ))}
      </ul>
      {all.length > shown.value && (
        <button type="button" onClick={() => (shown.value += PAGE)}>
          Show more
        </button>
      )}
    </section>
  )
}

function Tile({ own }: { own: Item }) {
  const [first] = own.faces
  const thumb = own.photo ?? own.pictures.mesh ?? own.pictures.landmarks
  return (
    <li>
      <button type="button" class="tile" disabled={!engine.value} onClick={() => void openItem(own)}>
        {thumb === undefined ? (
          <LineFace landmarks={first?.points ?? []} lines={first ? (engine.value?.settings.lines ?? []) : []} />
        ) : (
          <img src={fileUrl(thumb)} alt="" loading="lazy" decoding="async" />
        )}
        <span class="name">{own.name}</span>
        <span class={first && least(own) < 0.5 ? 'note doubtful' : 'note'}>
          {first ? `${own.count === 1 ? degrees(first.yaw) : `${own.count} faces`} · ${percent(Math.min(least(own), 1))}` : 'no face'}
        </span>
      </button>
    </li>
  )
}

/** What `infer` drew, beside one another. */
export function Pictures() {
  const { value: own } = item
  if (!own || !Object.keys(own.pictures).length) return null
  return (
    <div class="pictures">
      {Object.entries(own.pictures).map(([kind, file]) => (
        <figure key={kind}>
          <img src={fileUrl(file)} alt={`${own.name}: ${kind}, as infer drew it`} loading="lazy" />
          <figcaption>{kind}</figcaption>
        </figure>
      ))}
    </div>
  )
}

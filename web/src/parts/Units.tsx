/** The 52 ARKit units: bars that follow the face, and sliders that move the head. */

import { engine, seenUnits, sliders, units } from '../state/state'
import { unitWords } from './words'

const GROUPS: [string, RegExp][] = [
  ['Brows', /^brow/],
  ['Eyes', /^eye/],
  ['Cheeks and nose', /^(cheek|nose)/],
  ['Jaw and tongue', /^(jaw|tongue)/],
  ['Mouth', /^mouth/],
]

export function Units() {
  const ready = engine.value
  if (!ready) return null
  const { unitNames } = ready.head
  const setUnit = (unit: number, value: number): void => {
    const next = (sliders.value ?? seenUnits.value).slice()
    next[unit] = value
    sliders.value = next
  }
  return (
    <section class="units" aria-labelledby="units-title">
      <header>
        <h2 id="units-title">Expression</h2>
        <button type="button" disabled={!sliders.value} onClick={() => (sliders.value = null)}>
          Follow the face
        </button>
      </header>
      {GROUPS.map(([title, pattern]) => (
        <details key={title} open={title !== 'Eyes' && title !== 'Cheeks and nose'}>
          <summary>{title}</summary>
          {unitNames.map((name, u) =>
            pattern.test(name) ? (
              <Slider key={name} name={name} value={units.value[u]} seen={seenUnits.value[u]} onChange={(value) => setUnit(u, value)} />
            ) : null,
          )}
        </details>
      ))}
    </section>
  )
}

function Slider({ name, value, seen, onChange }: { name: string; value: number; seen: number; onChange: (value: number) => void }) {
  return (
    <label class="unit">
      <span>{unitWords(name)}</span>
      <span class="track" style={{ '--seen': `${100 * seen}%`, '--set': `${100 * value}%` }}>
        <input
          type="range"
          min="0"
          max="1"
          step="0.01"
          value={value}
          data-unit={name}
          aria-label={unitWords(name)}
          onInput={(event) => onChange(Number(event.currentTarget.value))}
        />
      </span>
      <output>{value.toFixed(2)}</output>
    </label>
  )
}

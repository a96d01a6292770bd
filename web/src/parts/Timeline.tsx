import { seek, timeline } from '../state/actions'

/** Where a film stands whose faces were found before. */
export function Timeline() {
  const { value: own } = timeline
  if (!own) return null
  return (
    <label class="timeline">
      <span>frame {own.at + 1}</span>
      <input
        type="range"
        min="0"
        max={own.count - 1}
        value={own.at}
        aria-label={`Frame, of ${own.count}`}
        onInput={(event) => seek(Number(event.currentTarget.value))}
      />
      <span>{own.count}</span>
    </label>
  )
}

/** The chosen face in numbers, and the choice between several. */

import { chosen, engine, face, faces, rate, sheet, took } from '../state/state'
import { degrees, percent, poseWords } from './words'
import { LineFace } from './LineFace'

export function FaceTabs() {
  if (faces.value.length < 2) return null
  return (
    <div class="faces" role="group" aria-label="Faces">
      {faces.value.map((one, i) => (
        <button key={i} type="button" aria-pressed={i === chosen.value} aria-label={`Face ${i + 1}, ${poseWords(one)}`} onClick={() => (chosen.value = i)}>
          <LineFace landmarks={one.landmarks} lines={engine.value?.settings.lines ?? []} />
        </button>
      ))}
    </div>
  )
}

export function FaceFacts() {
  const { value: own } = face
  if (!own) return null
  const trust = own.confidence
  const film = sheet.value?.kind !== 'photo'
  return (
    <section class="facts" aria-label="Chosen face">
      <dl>
        {(['yaw', 'pitch', 'roll'] as const).map((name) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd data-value={name}>{degrees(own.pose[name])}</dd>
          </div>
        ))}
        <div class={trust < 0.5 ? 'doubtful' : ''}>
          <dt>confidence</dt>
          <dd data-value="confidence">{percent(trust)}</dd>
        </div>
        <div>
          <dt>{film ? 'frames/s' : 'time'}</dt>
          <dd data-value="rate">{film ? rate.value.toFixed(0) : `${took.value.toFixed(0)} ms`}</dd>
        </div>
      </dl>
      {trust < 0.5 && <p>The network expects its landmarks to be off: do not rely on this face.</p>}
    </section>
  )
}

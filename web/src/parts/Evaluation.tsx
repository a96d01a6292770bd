/** The worst faces of an evaluation: truth and answer over the crop. */

import { fileUrl, start, type WorstFace } from '../state/start'
import { engine } from '../state/state'

const SIDE = 120

export function Evaluation() {
  if (start.value.kind !== 'evaluation') return null
  return (
    <section class="results" aria-labelledby="evaluation-title">
      <header>
        <h2 id="evaluation-title">{start.value.name}</h2>
        <span class="key truth">truth</span>
        <span class="key answer">answer</span>
        <output>{start.value.faces.length} worst faces</output>
      </header>
      <ul class="grid">
        {start.value.faces.map((face) => (
          <Worst key={face.name} face={face} />
        ))}
      </ul>
    </section>
  )
}

function Worst({ face }: { face: WorstFace }) {
  const lines = engine.value?.settings.lines ?? []
  // 1-based pixels of the crop: pixel 1 is from 0 to 1 of the drawing.
  const at = (points: number[], k: number): string => `${points[3 * k] - 0.5} ${points[3 * k + 1] - 0.5}`
  const path = (points: number[]): string =>
    lines
      .map(([from, to, closed]) => {
        const all = Array.from({ length: to - from }, (_, i) => at(points, from + i))
        return `M${all.join('L')}${closed ? 'Z' : ''}`
      })
      .join('')
  return (
    <li class="tile worst">
      <svg viewBox={`0 0 ${SIDE} ${SIDE}`} role="img" aria-label={`${face.name}: error ${face.error.toFixed(1)} percent`}>
        {face.crop !== null && <image href={fileUrl(face.crop)} width={SIDE} height={SIDE} />}
        <path class="truth" d={path(face.truth)} />
        <path class="answer" d={path(face.landmarks)} />
      </svg>
      <span class="name">{face.name}</span>
      <span class="note">{face.error.toFixed(1)} %</span>
    </li>
  )
}

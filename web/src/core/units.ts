/** Expression coefficients to weights of the 52 ARKit units; `face_model/units.py`. */

import type { Head } from './head'

const TOLERANCE = 1e-12
const MOST_STEPS = 20

/** Weights in [0, 1], one a unit, that move the landmarks as 10 expression coefficients do. */
export function unitWeights(expression: ArrayLike<number>, head: Head): Float64Array {
  const { seen, length, gram, pull, price } = head.unitProblem
  const n = length.length
  const pulls = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    let value = -price[i]
    for (let k = 0; k < expression.length; k++) value += expression[k] * pull[k * n + i]
    pulls[i] = value
  }
  const amounts = boundedMinimum(gram, pulls, length)
  const out = new Float64Array(seen.length)
  for (let u = 0, i = 0; u < seen.length; u++) if (seen[u]) out[u] = amounts[i] / length[i++]
  return out
}

/** The x within 0 <= x <= upper that minimises x gram x / 2 - pull x, by active sets. */
export function boundedMinimum(gram: ArrayLike<number>, pull: ArrayLike<number>, upper: ArrayLike<number>): Float64Array {
  const n = pull.length
  const x = new Float64Array(n)
  const free = new Array<boolean>(n).fill(false)
  const tolerance = TOLERANCE * Math.max(...Array.from(upper))
  const slope = (i: number): number => {
    let value = pull[i]
    for (let j = 0; j < n; j++) value -= gram[i * n + j] * x[j]
    return value
  }
  for (let step = 0; step < MOST_STEPS * n; step++) {
    let best = -1
    let most = tolerance
    for (let i = 0; i < n; i++) {
      const gain = free[i] ? 0 : x[i] > 0 ? -slope(i) : slope(i)
      if (gain > most) [best, most] = [i, gain]
    }
    if (best < 0) break
    free[best] = true
    for (;;) {
      const rows = free.flatMap((is, i) => (is ? [i] : []))
      if (!rows.length) break
      const move = solve(
        rows.map((i) => rows.map((j) => gram[i * n + j])),
        rows.map(slope),
      )
      const room = rows.map((i, k) =>
        move[k] > 0 ? (upper[i] - x[i]) / move[k] : move[k] < 0 ? -x[i] / move[k] : Infinity,
      )
      const reach = Math.min(1, ...room)
      rows.forEach((i, k) => (x[i] = Math.min(Math.max(x[i] + reach * move[k], 0), upper[i])))
      if (reach === 1) break
      rows.forEach((i, k) => {
        if (room[k] > reach) return
        x[i] = move[k] > 0 ? upper[i] : 0
        free[i] = false
      })
    }
  }
  return x
}

/** A symmetric positive definite system, by elimination; both arguments are used up. */
function solve(a: number[][], b: number[]): number[] {
  const n = b.length
  for (let k = 0; k < n; k++) {
    for (let i = k + 1; i < n; i++) {
      const factor = a[i][k] / a[k][k]
      for (let j = k; j < n; j++) a[i][j] -= factor * a[k][j]
      b[i] -= factor * b[k]
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let j = i + 1; j < n; j++) b[i] -= a[i][j] * b[j]
    b[i] /= a[i][i]
  }
  return b
}

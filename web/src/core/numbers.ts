/** Python's `round`: halves go to the even neighbour. */
export function round(value: number): number {
  const low = Math.floor(value)
  const rest = value - low
  if (rest < 0.5) return low
  if (rest > 0.5) return low + 1
  return low % 2 === 0 ? low : low + 1
}

/** `round` to digits after the point; never -0. */
export function rounded(value: number, digits: number): number {
  const scale = 10 ** digits
  return round(value * scale) / scale + 0
}

/** Seven significant digits: what a float32 holds. */
export function significant(value: number): number {
  return Number(value.toPrecision(7)) + 0
}

export const clamp = (value: number, low: number, high: number): number =>
  Math.min(Math.max(value, low), high)

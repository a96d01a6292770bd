import { effect, signal } from '@preact/signals'

type Theme = 'light' | 'dark'

const KEY = 'synergynet-theme'
const dark = matchMedia('(prefers-color-scheme: dark)')

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'light' || value === 'dark' ? value : null
  } catch {
    return null // storage may be forbidden
  }
}

const choice = signal<Theme | null>(stored())
export const theme = signal<Theme>(choice.value ?? (dark.matches ? 'dark' : 'light'))

dark.addEventListener('change', () => {
  if (choice.value === null) theme.value = dark.matches ? 'dark' : 'light'
})
effect(() => {
  document.documentElement.dataset.theme = theme.value
})

export function toggleTheme(): void {
  choice.value = theme.value = theme.value === 'dark' ? 'light' : 'dark'
  try {
    localStorage.setItem(KEY, theme.value)
  } catch {
    // it then lasts as long as the page
  }
}

export const calm = matchMedia('(prefers-reduced-motion: reduce)')

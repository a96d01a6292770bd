import { busy, engine, notice, sheet } from '../state/state'
import { start } from '../state/start'
import { Downloads } from './Downloads'
import { FaceFacts, FaceTabs } from './FaceFacts'
import { HeadPanel } from './HeadPanel'
import { DropTarget, OpenButtons, StageTools } from './Open'
import { Evaluation } from './Evaluation'
import { Pictures, Results } from './Results'
import { Stage } from './Stage'
import { Timeline } from './Timeline'
import { theme, toggleTheme } from './theme'
import { Units } from './Units'

export function App() {
  const open = sheet.value !== null
  const list = !open && (start.value.kind === 'results' || start.value.kind === 'evaluation')
  return (
    <>
      <header class="top">
        <h1>
          <Mark /> synergynet
        </h1>
        <OpenButtons />
        <button type="button" class="quiet" onClick={toggleTheme}>
          {theme.value === 'dark' ? 'Light' : 'Dark'}
        </button>
      </header>
      <p class={notice.value?.failed ? 'notice failed' : 'notice'} role="status" aria-live="polite">
        {notice.value?.text ?? (busy.value ? 'Looking …' : engine.value ? '' : 'Loading the networks …')}
      </p>
      <main class={open ? 'work' : list ? 'work list' : 'work empty'}>
        {open ? (
          <div class="left">
            <Stage />
            <StageTools />
            <Timeline />
            <FaceTabs />
            <Pictures />
          </div>
        ) : (
          <Left />
        )}
        <div class="right" hidden={list}>
          <HeadPanel />
          <FaceFacts />
          {open && <Downloads />}
          <Units />
        </div>
      </main>
      <footer>
        <p>
          Computed in this browser. Pictures never leave the page: it may make no request, and its
          security policy says so to the browser. <a href="docs">The interface for programs</a>
        </p>
      </footer>
      <DropTarget />
    </>
  )
}

function Left() {
  const { kind } = start.value
  if (kind === 'results') return <Results />
  return kind === 'evaluation' ? <Evaluation /> : <Welcome />
}

function Welcome() {
  return (
    <div class="left welcome">
      <h2>A face is a landscape.</h2>
      <p>
        Drop a photo or a film, paste one, or look into the camera: 68 landmarks, the head’s pose and
        the relief of the face, drawn with a line every five millimetres.
      </p>
      <OpenButtons />
    </div>
  )
}

/** Contour lines of a face. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" class="mark" aria-hidden="true">
      <path d="M16 2c8 0 12 6 12 13s-5 15-12 15S4 22 4 15 8 2 16 2z" />
      <path d="M16 7c5 0 7 4 7 8s-3 10-7 10-7-6-7-10 2-8 7-8z" />
      <path d="M16 12c2 0 3 2 3 4s-1 4-3 4-3-2-3-4 1-4 3-4z" />
    </svg>
  )
}

import { render } from 'preact'
import { Engine, here } from './engine/engine'
import { Fetcher } from './engine/fetcher'
import { App } from './parts/App'
import { say } from './state/actions'
import { begin, type Start } from './state/start'
import { engine } from './state/state'
import './style/page.css'

render(<App />, document.getElementById('app')!)

const fetcher = new Fetcher()
try {
  const opening = fetcher.json<Start>(here('start.json'))
  engine.value = await Engine.load(fetcher)
  document.documentElement.dataset.ready = String(Math.round(performance.now()))
  await begin(await opening, fetcher)
} catch (error) {
  say(`The networks could not be started: ${error instanceof Error ? error.message : String(error)}`, true)
  fetcher.close()
}

/** The interface for programs, from its OpenAPI document. */

import { Fetcher } from './engine/fetcher'
import './parts/theme'
import './style/page.css'

interface Schema {
  description?: string
  type?: string | string[]
  enum?: string[]
  items?: Schema
  properties?: Record<string, Schema>
  $ref?: string
}
interface Operation {
  summary: string
  parameters?: { name: string; description: string }[]
  requestBody?: { content: Record<string, unknown> }
  responses: Record<string, { description: string }>
  security?: unknown[]
}
interface Document {
  info: { title: string; version: string; description: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

type Child = Node | string

function make(tag: string, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag)
  element.append(...children)
  return element
}

const row = (...cells: Child[]): HTMLElement => make('tr', ...cells.map((cell) => make('td', cell)))

function operation(path: string, method: string, own: Operation): HTMLElement {
  const title = make('h2', make('code', `${method.toUpperCase()} ${path}`), ` ${own.summary}`)
  const parts: Child[] = [title]
  if (own.security) parts.push(make('p', 'Needs the token: ', make('code', 'Authorization: Bearer TOKEN')))
  if (method === 'post') {
    const address = `${location.origin}${path}`
    parts.push(make('pre', `curl --data-binary @photo.jpg "${address}"\ncurl -F image=@photo.jpg "${address}?draw=mesh&mesh=glb"`))
  }
  if (own.requestBody) parts.push(make('p', `Body: ${Object.keys(own.requestBody.content).join(', ')}`))
  if (own.parameters) {
    parts.push(make('table', ...own.parameters.map((one) => row(make('code', one.name), one.description))))
  }
  const answers = Object.entries(own.responses).sort()
  parts.push(make('table', ...answers.map(([status, { description }]) => row(make('code', status), description))))
  return make('section', ...parts)
}

function fields(schema: Schema): HTMLElement {
  const rows = Object.entries(schema.properties ?? {}).map(([name, own]) => {
    const inner = own.properties ?? own.items?.properties
    return row(make('code', name), own.description ?? '', inner ? fields({ properties: inner }) : '')
  })
  return make('table', ...rows)
}

const main = document.getElementById('docs')!
const fetcher = new Fetcher()
try {
  const { info, paths, components } = await fetcher.json<Document>(new URL('openapi.json', location.href).href)
  main.append(make('h1', `${info.title} ${info.version}`), make('p', info.description))
  const link = make('a', 'openapi.json')
  link.setAttribute('href', 'openapi.json')
  main.append(make('p', 'The same for programs: ', link))
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, own] of Object.entries(methods)) main.append(operation(path, method, own))
  }
  const { Answer: answer } = components.schemas
  main.append(make('h2', 'The answer'), answer.properties?.faces.items ? fields(answer) : '')
} catch (error) {
  main.append(make('p', `This server does not describe an interface: ${String(error)}`))
} finally {
  fetcher.close()
}

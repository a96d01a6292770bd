/** Writes the hash of the page's source into the built page, so that a test can tell whether they belong together. */
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const web = fileURLToPath(new URL('..', import.meta.url))
const built = join(web, '../src/synergynet/serve/data')

function* filesOf(folder) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* filesOf(path)
    else yield path
  }
}

function digest(paths, base) {
  const hash = createHash('sha256')
  for (const path of paths) hash.update(relative(base, path).replaceAll('\\', '/') + '\0').update(readFileSync(path)).update('\0')
  return hash.digest('hex')
}

const source = [...['docs.html', 'index.html', 'package-lock.json', 'package.json', 'tsconfig.json', 'vite.config.ts'].map((name) => join(web, name)), ...['licences', 'src', 'tools'].flatMap((folder) => [...filesOf(join(web, folder))])]
const files = [...filesOf(built)].filter((path) => !path.endsWith('BUILT.json'))
writeFileSync(join(built, 'BUILT.json'), JSON.stringify({ source: digest(source, web), built: digest(files, built) }, null, 1) + '\n')

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readManifest } from '../manifest.ts'

// The package has its sources in it, so the same path leads to the template from src/cli/init/ and from dist/cli/init/. Its files carry a suffix:
// they are not this package's code, and npm must not take them for its package.json and .gitignore.
const template = fileURLToPath(new URL('../../../src/cli/init/template/', import.meta.url))
const suffix = '.template'

/** Writes the project of the template into an empty directory. Returns the files' names. */
export async function writeProject(directory: string): Promise<readonly string[]> {
  const entries = await readdir(template, { recursive: true, withFileTypes: true })
  const names = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => relative(template, join(parentPath, name)))
  const values = valuesFor(directory)
  const files: string[] = []
  for (const name of names.toSorted()) {
    const text = await readFile(join(template, name), 'utf8')
    const file = name === `gitignore${suffix}` ? '.gitignore' : name.slice(0, -suffix.length)
    await mkdir(dirname(join(directory, file)), { recursive: true })
    const filled = fillIn(text, values)
    await writeFile(join(directory, file), file === 'package.json' && !runsTypeScript ? withOwnNode(filled, values['node']) : filled)
    files.push(file)
  }
  return files
}

/** From this version on, Node runs TypeScript as it is. */
const runsTypeScript = Number.parseInt(process.versions.node, 10) >= 24

/** Where the installed Node is older, the project brings its own: npm scripts find it first. */
function withOwnNode(manifest: string, version: string | undefined): string {
  const { devDependencies, ...rest } = JSON.parse(manifest) as { readonly devDependencies: Readonly<Record<string, string>> }
  return `${JSON.stringify({ ...rest, devDependencies: { ...devDependencies, node: version }, allowScripts: { node: true } }, undefined, 2)}\n`
}

function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{\{(.+?)\}\}/g, (_match, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`the template asks for ${name}, which nothing knows`)
    return value
  })
}

/** What stands for `{{…}}` in the template: the project's name, and the versions of packages that this one is tested with. */
function valuesFor(directory: string): Readonly<Record<string, string>> {
  const { version, dependencies, devDependencies } = readManifest()
  return { ...devDependencies, ...dependencies, headwater: `^${version}`, name: packageName(directory) }
}

/** The directory's name as npm allows it for a package. */
function packageName(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  return name === '' || name === 'headwater' ? 'my-service' : name
}

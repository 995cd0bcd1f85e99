import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { identityOf } from '../../../agent/containerd/hosts-note.ts'
import { directoriesOf, lookIntoWritten } from '../../../agent/doctor/hosts.ts'
import { releaseIn } from '../../../agent/doctor/containerd-process.ts'

const names = (registries: string[], there: string[]) =>
  directoriesOf(registries, there).map(({ name, expected }) => `${name}${expected ? '!' : ''}`)

test.each([
  [[], [], ['undefined!']],
  [[], ['quay.io', '_default', '_backup', '.git', 'a.b_5000_'], ['_default!', 'a.b_5000_', 'quay.io']],
  [['quay.io'], ['quay.io', '_default'], ['quay.io!']],
  [['quay.io', 'a.b'], ['quay.io'], ['quay.io!', 'undefined!']],
  [['a.b:5000'], ['a.b:5000', 'a.b_5000_', '_default'], ['a.b_5000_!']],
  [['a.b:5000'], ['a.b', '_default'], ['_default!']],
])('%j among %j: containerd looks into %j', (registries, there, expected) => {
  expect(names(registries, there)).toEqual(expected)
})

test.each([
  ['containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3', '1.6.20'],
  ['containerd github.com/containerd/containerd/v2 2.1.9+unknown ', '2.1.9'],
  ['containerd/1.7.24~ds1', '1.7.24'],
  ['containerd/v2.0.10', '2.0.10'],
  ['something else', undefined],
])('%j is of release %s', (text, release) => {
  expect(releaseIn(text)).toBe(release)
})

test('of what configure wrote and may not be read, it is seen whether it is there, and the same', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'shoal-hosts-'))
  onTestFinished(() => rm(root, { recursive: true }))
  const fileOf = (name: string): string => path.join(root, name, 'hosts.toml')
  // Nobody reads a directory's text, not even root.
  for (const name of ['_default', 'quay.io']) await mkdir(fileOf(name), { recursive: true })
  const files = {
    [fileOf('_default')]: await identityOf(fileOf('_default')),
    [fileOf('quay.io')]: await identityOf(fileOf('quay.io')),
    [fileOf('gone.io')]: '1 2 3',
  }
  await rm(fileOf('quay.io'), { recursive: true })
  await mkdir(fileOf('quay.io'))
  await writeFile(path.join(fileOf('quay.io'), 'more'), '')
  const seen = await lookIntoWritten({ root, files }, { root, registries: [], mirror: '', agentCa: undefined })
  expect(seen.map(({ registries, state }) => [registries, state.kind])).toEqual([
    ['all registries', 'as written'],
    ['quay.io', 'replaced'],
    ['gone.io', 'no file'],
  ])
})

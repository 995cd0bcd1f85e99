import { expect, test } from 'vitest'
import { directoriesOf } from '../../../agent/doctor/hosts.ts'
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

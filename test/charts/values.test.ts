/** Every value is described, documented, and changes what is rendered. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Document, isMap, parse, parseDocument, stringify, visit } from 'yaml'
import { chartValues } from '../../cli/chart/chart-values.ts'
import { describedValues } from '../../cli/chart/values-comments.ts'
import { readText } from '../repository/sources.ts'
import { chartDirectory, describeHelms, type Helm, valuesFile, variants } from '../support/helm/helm.ts'
import { kubernetesVersions } from '../support/kubernetes/schemas.ts'

const valuesText = readFileSync(path.join(chartDirectory, 'values.yaml'), 'utf8')
const described = describedValues(valuesText).map((value) => value.path)

test('values.yaml is what the schema describes, with every value in it', () => {
  const values = parse(valuesText) as Record<string, object>
  expect(chartValues.parse(values)).toBeDefined()
  expect(Object.keys(values)).toEqual(Object.keys(chartValues.shape))
  expect(Object.keys(values['agent'] ?? {})).toEqual(Object.keys(chartValues.shape.agent.shape))
})

test('every value has its comment, in sentences', () => {
  const leaves: string[] = []
  visit(parseDocument(valuesText), {
    Pair(_key, pair, ancestors) {
      const keys = [...ancestors, pair].flatMap((node) => ('key' in node ? [String(node.key)] : []))
      const isDescribed = described.includes(keys.join('.'))
      if (!isMap(pair.value) && !isDescribed) leaves.push(keys.join('.'))
      // What is below a value that is described as a whole is its default.
      return isDescribed && !described.some((each) => each.startsWith(`${keys.join('.')}.`)) ? visit.SKIP : undefined
    },
  })
  expect(leaves).toEqual([])
  expect(describedValues(valuesText).filter(({ description }) => !/^(\p{Lu}|`).*\.$/su.test(description))).toEqual([])
})

test('Chart.yaml has the version of the code, and the oldest Kubernetes that renders are checked against', () => {
  const chart = parse(readText('charts/shoal/Chart.yaml')) as Record<string, string>
  const { version } = JSON.parse(readText('package.json')) as { version: string }
  expect(chart).toMatchObject({ version, appVersion: version, kubeVersion: `>=${kubernetesVersions[0]}.0-0` })
})

test('what docs/from-spegel.md and the README name in `agent.config` are options', () => {
  const options = Object.keys(chartValues.shape.agent.shape.config.shape)
  const named = ['docs/from-spegel.md', 'charts/shoal/README.md'].flatMap((file) =>
    [...readText(file).matchAll(/`(?:agent\.)?config\.(\w+)/g)].map(([, name]) => name ?? ''),
  )
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((name) => name !== 'x' && !options.includes(name))).toEqual([])
})

await describeHelms(describeValues, ['4'])

function describeValues(helm: Helm): void {
  const given = variants.map((variant) => {
    const file = valuesFile(variant)
    const values = parseDocument(readFileSync(file, 'utf8'))
    return { variant, values, rendered: once(() => helm.render('--values', file)) }
  })
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'shoal-values-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  // Shoal reads nothing of it.
  test.each(described.filter((name) => name !== 'global'))('%s changes what is rendered', async (name) => {
    const keys = name.split('.')
    for (const { variant, values, rendered } of given.filter((each) => each.values.hasIn(keys))) {
      const others = values.clone() as Document
      others.deleteIn(keys)
      const file = path.join(directory, `${variant}-without-${name}.yaml`)
      await writeFile(file, stringify(others))
      if ((await rendered()) !== (await helm.render('--values', file))) return
    }
    expect.fail('no set of values in ci/ shows a difference')
  })
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined
  return () => (made ??= make())
}

import { describe, expect, test } from 'vitest'
import { createMetrics, metricTable } from '../../agent/metrics.ts'

const sample = async (metrics: { render(): Promise<string> }, name: string): Promise<string[]> =>
  (await metrics.render()).split('\n').filter((line) => line.startsWith(name))

describe('metrics', () => {
  test('count by label, in a registry of their own', async () => {
    const [one, other] = [createMetrics(), createMetrics()]
    one.add('shoal_bytes_total', 10, { direction: 'received', source: 'peer' })
    one.add('shoal_bytes_total', 5, { direction: 'received', source: 'peer' })
    other.add('shoal_bytes_total', 1, { direction: 'delivered', source: 'local' })
    expect(await sample(one, 'shoal_bytes_total')).toEqual(['shoal_bytes_total{direction="received",source="peer"} 15'])
    expect(await sample(other, 'shoal_bytes_total')).toEqual([
      'shoal_bytes_total{direction="delivered",source="local"} 1',
    ])
  })

  test('ask for gauges when they are scraped', async () => {
    const metrics = createMetrics()
    let members = 3
    metrics.onScrape(() => metrics.set('shoal_members', members))
    expect(await sample(metrics, 'shoal_members')).toEqual(['shoal_members 3'])
    members = 4
    expect(await sample(metrics, 'shoal_members')).toEqual(['shoal_members 4'])
  })

  test('put times into buckets', async () => {
    const metrics = createMetrics()
    metrics.observe('shoal_first_byte_seconds', 0.003, { kind: 'blob' })
    const buckets = await sample(metrics, 'shoal_first_byte_seconds_bucket')
    expect(buckets).toContain('shoal_first_byte_seconds_bucket{le="0.002",kind="blob"} 0')
    expect(buckets).toContain('shoal_first_byte_seconds_bucket{le="0.005",kind="blob"} 1')
  })

  test('show the process beside the agent', async () => {
    const text = await createMetrics().render()
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \S+$/m)
    expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m)
  })
})

describe('labels are closed sets', () => {
  /** What a client or peer could choose, given past the types as a mistake would. */
  const chosen = [
    'sha256:' + 'a'.repeat(64),
    'library/alpine',
    'registry.example.com',
    '10.0.0.7',
    '__proto__',
    'x'.repeat(1000),
  ]

  test('a value outside its set counts as other', async () => {
    const metrics = createMetrics()
    for (const value of chosen) {
      const labels = { kind: value, status: value, repository: value } as never
      metrics.add('shoal_requests_total', 1, labels)
    }
    expect(await sample(metrics, 'shoal_requests_total')).toEqual([
      `shoal_requests_total{kind="other",status="other"} ${chosen.length}`,
    ])
  })

  test('no metric has more than a few dozen series', () => {
    for (const [name, { labels }] of Object.entries(metricTable)) {
      const sizes = Object.values<readonly string[]>(labels).map((values) => values.length + 1)
      const series = sizes.reduce((product, size) => product * size, 1)
      expect({ name, few: series <= 128 }).toEqual({ name, few: true })
    }
  })
})

test('the table is sorted and its names end in their unit', () => {
  const names = Object.keys(metricTable)
  expect(names).toEqual(names.toSorted())
  for (const [name, { type }] of Object.entries(metricTable)) {
    expect(name.endsWith('_total'), name).toBe(type === 'counter')
    expect(name.endsWith('_seconds'), name).toBe(type === 'histogram')
  }
})

import { expect, test } from 'vitest'
import { createLogger } from '../../agent/logging.ts'
import { observeMirror, observeOrigin, observeRunner } from '../../agent/measure.ts'
import { createMetrics } from '../../agent/metrics.ts'
import type { AnsweredRequest } from '../../agent/registry/ports.ts'
import { ShoalError } from '../../core/errors.ts'

const logger = createLogger({ level: 'fatal', format: 'json' })
const finished: AnsweredRequest = {
  userAgent: 'containerd/1.7.24',
  kind: 'blob',
  status: 206,
  bytes: 10,
  timeToFirstByteMs: 20,
  outcome: 'finished',
  error: undefined,
}

/** The samples of a metric, without its name; those of value 0 are left out. */
async function samples(metrics: ReturnType<typeof createMetrics>, name: string): Promise<string[]> {
  const lines = (await metrics.render()).split('\n').filter((line) => line.startsWith(name))
  return lines.map((line) => line.slice(name.length)).filter((line) => !line.endsWith(' 0'))
}

test.each([
  [finished, '{kind="blob",status="2xx"} 1'],
  [{ ...finished, kind: 'ping', status: 200 }, '{kind="base",status="2xx"} 1'],
  [{ ...finished, kind: 'none', status: 400 }, '{kind="other",status="4xx"} 1'],
  [{ ...finished, kind: 'manifest', status: 503 }, '{kind="manifest",status="5xx"} 1'],
  [{ ...finished, outcome: 'broken' }, '{kind="blob",status="aborted"} 1'],
  [{ ...finished, outcome: 'client-gone' }, '{kind="blob",status="aborted"} 1'],
] satisfies [AnsweredRequest, string][])('an answered request counts by kind and end: %o', async (request, sample) => {
  const metrics = createMetrics()
  observeMirror(metrics, logger, { note: () => {} }).answered(request)
  expect(await samples(metrics, 'shoal_requests_total')).toEqual([sample])
})

test('a first byte counts in seconds, an error by its code, and neither where there is none', async () => {
  const metrics = createMetrics()
  const observer = observeMirror(metrics, logger, { note: () => {} })
  observer.answered(finished)
  const error = new ShoalError('ORIGIN_NOT_FOUND', 'no such tag')
  observer.answered({ ...finished, status: 404, timeToFirstByteMs: undefined, error })
  expect(await samples(metrics, 'shoal_first_byte_seconds_sum')).toEqual(['{kind="blob"} 0.02'])
  expect(await samples(metrics, 'shoal_errors_total')).toEqual(['{code="ORIGIN_NOT_FOUND"} 1'])
})

test.each([
  ['/v2/team/app/manifests/latest', 200, '{kind="manifest",status="2xx"} 1'],
  ['/v2/team/app/blobs/sha256:00', 307, '{kind="blob",status="3xx"} 1'],
  ['/v2/team/app/referrers/sha256:00', 404, '{kind="referrers",status="4xx"} 1'],
  ['/v2/team/app/tags/list', 500, '{kind="tags",status="5xx"} 1'],
  ['/token', undefined, '{kind="other",status="failed"} 1'],
])('a request to an origin counts by its path and status: %s', async (path, status, sample) => {
  const metrics = createMetrics()
  observeOrigin(metrics)(path, status)
  expect(await samples(metrics, 'shoal_origin_requests_total')).toEqual([sample])
})

test('what peers got counts by where it was read, what they were refused by the answer', async () => {
  const metrics = createMetrics()
  const observer = observeRunner(metrics)
  observer.received('peer', 3)
  observer.uploaded('sent', 'shoal', 5)
  observer.uploaded('sent', 'containerd', 7)
  observer.refused('busy')
  expect(await samples(metrics, 'shoal_bytes_total')).toEqual([
    '{direction="received",source="peer"} 3',
    '{direction="uploaded",source="local"} 5',
    '{direction="uploaded",source="containerd"} 7',
  ])
  expect(await samples(metrics, 'shoal_uploads_total')).toEqual(['{outcome="sent"} 2', '{outcome="busy"} 1'])
})

import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createSelfDoctor } from '../../../agent/doctor/self-doctor.ts'
import { createMetrics } from '../../../agent/metrics.ts'
import { type Finding, finding } from '../../../core/doctor/findings.ts'
import { limits } from '../../../core/limits.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

const stale = finding('HOSTS_STALE', { file: '/a', reason: 'its CA is another one', flags: '' })
const skewed = finding('CLOCK_SKEWED', { skew: '90 s behind', others: 'a.b' })

function start(look: () => Promise<readonly Finding[]>) {
  const lines: string[] = []
  const log = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${'code' in fields ? String(fields.code) : ''} ${message}`)
  const metrics = createMetrics()
  const doctor = createSelfDoctor({ logger: { info: log('info'), warn: log('warn') }, metrics, look })
  onTestFinished(() => doctor.stop())
  const gauge = async (code: string) =>
    (await metrics.render()).split('\n').find((line) => line.startsWith(`shoal_doctor_finding{code="${code}"}`))
  return { doctor, lines, gauge }
}

test('it is ready no sooner than a look has found that pulls go through Shoal, or has failed or hung', async () => {
  const unknown = { ready: false, reason: 'doctor has not looked yet' }
  const first = Promise.withResolvers<readonly Finding[]>()
  const { doctor } = start(() => first.promise)
  expect(doctor.readiness()).toEqual(unknown)
  doctor.start()
  expect(doctor.readiness()).toEqual(unknown)
  first.resolve([stale])
  await doctor.examine()
  expect(doctor.readiness()).toMatchObject({ ready: false, reason: `HOSTS_STALE: ${stale.what}` })

  const { doctor: failing } = start(() => Promise.reject(new Error('no more files')))
  failing.start()
  await vi.waitUntil(() => failing.readiness().ready)

  const { doctor: hanging } = start(() => Promise.race([]))
  hanging.start()
  vi.advanceTimersByTime(limits.doctorAgainMs - 1)
  expect(hanging.readiness()).toEqual(unknown)
  vi.advanceTimersByTime(1)
  expect(hanging.readiness()).toEqual({ ready: true })
})

test('what is found is logged once, counted while it lasts, and no pull through Shoal means not ready', async () => {
  let found: readonly Finding[] = []
  const { doctor, lines, gauge } = start(async () => found)
  await doctor.examine()
  expect(doctor.readiness()).toEqual({ ready: true })
  found = [stale, skewed]
  await doctor.examine()
  await doctor.examine()
  expect(lines).toEqual([`warn HOSTS_STALE ${stale.what}`, `warn CLOCK_SKEWED ${skewed.what}`])
  expect(await gauge('HOSTS_STALE')).toMatch(/ 1$/)
  expect(doctor.readiness()).toMatchObject({
    ready: false,
    reason: `HOSTS_STALE: ${stale.what}`,
    details: [{ code: 'HOSTS_STALE' }, { code: 'CLOCK_SKEWED' }],
  })
  found = [skewed]
  await doctor.examine()
  expect(lines.at(-1)).toBe('info HOSTS_STALE doctor no longer finds this')
  expect(await gauge('HOSTS_STALE')).toMatch(/ 0$/)
  expect(doctor.readiness()).toMatchObject({ ready: true, details: [{ code: 'CLOCK_SKEWED' }] })
})

test('it looks at its start and every few minutes, one look at a time; one that fails changes nothing', async () => {
  let looks = 0
  let next = Promise.withResolvers<readonly Finding[]>()
  const { doctor, lines } = start(() => {
    looks++
    return next.promise
  })
  doctor.start()
  expect(looks).toBe(1)
  const joined = doctor.examine()
  expect(looks).toBe(1)
  next.resolve([stale])
  expect(await joined).toEqual([stale])

  vi.advanceTimersByTime(limits.doctorAgainMs)
  expect(looks).toBe(2)
  await doctor.examine()
  next = Promise.withResolvers()
  vi.advanceTimersByTime(limits.doctorEveryMs - limits.doctorAgainMs)
  expect(looks).toBe(3)
  next.reject(new Error('no more files'))
  await vi.waitUntil(() => lines.length === 2)
  expect(lines).toEqual([`warn HOSTS_STALE ${stale.what}`, 'warn  doctor could not look'])
  expect(doctor.readiness().ready).toBe(false)
})

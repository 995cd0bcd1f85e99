/** A certificate authority of a test's own, made with the openssl program in a directory of the test's own. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from './needs.ts'

export interface Certificate {
  readonly key: string
  readonly cert: string
}

export interface TlsAuthority {
  /** PEM. */
  readonly caFile: string
  /** `names` as in a certificate: `DNS:registry.test`, `IP:127.0.0.1`. */
  issue(...names: readonly string[]): Certificate
}

export function createTlsAuthority(directory: string): TlsAuthority {
  const file = (name: string): string => path.join(directory, name)
  const program = findProgram('openssl')
  const openssl = (...parameters: readonly string[]): void => {
    if (program === undefined) throw new Error('openssl is missing')
    execFileSync(program, parameters, { cwd: directory, stdio: 'pipe' })
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Shoal test CA', '-days', '2')
  let issued = 0
  return {
    caFile: file('ca.pem'),
    issue(...names) {
      const base = `leaf-${issued++}`
      openssl('req', ...newKey, '-keyout', `${base}.key`, '-out', `${base}.csr`, '-subj', '/CN=Shoal test')
      writeFileSync(file(`${base}.ext`), `subjectAltName=${names.join(',')}\n`)
      const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial']
      openssl(
        'x509',
        '-req',
        '-in',
        `${base}.csr`,
        ...ca,
        '-out',
        `${base}.pem`,
        '-days',
        '2',
        '-extfile',
        `${base}.ext`,
      )
      return { key: readFileSync(file(`${base}.key`), 'utf8'), cert: readFileSync(file(`${base}.pem`), 'utf8') }
    },
  }
}

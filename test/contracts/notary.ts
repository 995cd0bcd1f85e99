import { expect, test } from 'vitest'
import type { Notary } from '../../core/ports.ts'

const payload = new TextEncoder().encode('shoal entry 1\n')

/** What every Notary holds to; `create` gives one with an identity of its own each time. */
export function notaryContract(create: () => Notary): void {
  test('a signature of 64 bytes that everybody can check', () => {
    const [alice, bob] = [create(), create()]
    const signature = alice.sign(payload)
    expect(signature).toHaveLength(64)
    expect(alice.verify(alice.self, payload, signature)).toBe(true)
    expect(bob.verify(alice.self, payload, signature)).toBe(true)
    expect(bob.verify(alice.self, payload, signature)).toBe(true)
  })

  test('is of one signer, one payload and whole', () => {
    const [alice, bob] = [create(), create()]
    const signature = alice.sign(payload)
    expect(alice.self).not.toBe(bob.self)
    expect(bob.verify(bob.self, payload, signature)).toBe(false)
    expect(bob.verify(alice.self, payload.slice(1), signature)).toBe(false)
    expect(bob.verify(alice.self, payload, signature.slice(1))).toBe(false)
    expect(bob.verify(alice.self, payload, signature.with(0, (signature[0] ?? 0) ^ 1))).toBe(false)
    expect(bob.verify(alice.self, payload, new Uint8Array(0))).toBe(false)
  })
}

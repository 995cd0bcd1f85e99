/** The certificates of the mirror: a CA of this node's own, and what it signs for the listener. ECDSA on P-256 (RFC 5280). */
import { createPrivateKey, KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { BitString, Integer, OctetString, Utf8String } from 'asn1js'
import ipaddr from 'ipaddr.js'
import {
  AltName,
  AttributeTypeAndValue,
  BasicConstraints,
  Certificate,
  ExtKeyUsage,
  Extension,
  GeneralName,
  type RelativeDistinguishedNames,
  Time,
  TimeType,
} from 'pkijs'
import { limits } from '../../core/limits.ts'

/** Both as PEM. */
export interface CertifiedKey {
  readonly cert: string
  readonly key: string
}

/** Who signs: the name and key that go with a CA's certificate. */
export interface Authority {
  readonly cert: string
  readonly subject: RelativeDistinguishedNames
  readonly key: webcrypto.CryptoKey
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const
const hash = 'SHA-256'
/**
 * RFC 5280 §4.1.2.5: no well-defined end; and a start before any clock. Whoever pins the file has no other use of the dates than
 * to be locked out by them, and the clock may have been far ahead when it was made.
 */
const ever = { notBefore: new Date(0), notAfter: new Date('9999-12-31T23:59:59Z') }
/** GeneralName of RFC 5280 §4.2.1.6. */
const generalName = { dns: 2, ip: 7 } as const
const oid = {
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const
/** Bits of KeyUsage (RFC 5280 §4.2.1.3), the first one highest, and how many of the last byte's are unused. */
const keyUsage = {
  digitalSignature: { bits: 0b1000_0000, unusedBits: 7 },
  certificateSigning: { bits: 0b0000_0100, unusedBits: 2 },
} as const

/** A CA that may sign servers and no further CAs. */
export async function createAuthority(): Promise<CertifiedKey> {
  const keys = await newKeys()
  const certificate = blank(ever)
  // The name is its own, so that no client takes a CA that was lost for the one that followed it.
  certificate.subject.typesAndValues.push(commonName(`Shoal mirror CA ${randomBytes(8).toString('hex')}`))
  certificate.issuer = certificate.subject
  certificate.extensions = [
    extension(oid.basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }).toSchema(), true),
    keyUsageExtension('certificateSigning'),
  ]
  return certify(certificate, keys, keys.privateKey)
}

/** Throws where they are not a CA's certificate and its key. */
export async function parseAuthority(pem: string): Promise<Authority> {
  const parsed = new X509Certificate(pem)
  const key = createPrivateKey(pem)
  if (!parsed.ca || !parsed.checkPrivateKey(key)) throw new TypeError('the key is not that of a CA')
  const { subject } = Certificate.fromBER(Uint8Array.from(parsed.raw).buffer)
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' })
  return {
    cert: parsed.toString(),
    subject,
    key: await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
  }
}

/** A certificate for a server that is called by any of `names`, IP addresses among them. */
export async function issueServer(authority: Authority, names: readonly string[], now: Date): Promise<CertifiedKey> {
  const keys = await newKeys()
  const certificate = blank(around(now))
  certificate.subject.typesAndValues.push(commonName('Shoal mirror'))
  certificate.issuer = authority.subject
  certificate.extensions = [
    extension(oid.basicConstraints, new BasicConstraints().toSchema(), true),
    keyUsageExtension('digitalSignature'),
    extension(oid.extendedKeyUsage, new ExtKeyUsage({ keyPurposes: [oid.serverAuth] }).toSchema(), false),
    extension(oid.subjectAltName, new AltName({ altNames: names.map(alternativeName) }).toSchema(), false),
  ]
  return certify(certificate, keys, authority.key)
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** From a while ago, since the clock may be set back after it was made. */
function around(now: Date): Validity {
  const at = (ms: number): Date => new Date(now.getTime() + ms)
  return { notBefore: at(-limits.mirrorCertificateMs), notAfter: at(limits.mirrorCertificateMs) }
}

function blank({ notBefore, notAfter }: Validity): Certificate {
  const serial = randomBytes(16)
  // Positive, and of full length.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return new Certificate({
    version: 2,
    serialNumber: new Integer({ valueHex: Uint8Array.from(serial).buffer }),
    notBefore: time(notBefore),
    notAfter: time(notAfter),
  })
}

/** UTCTime ends with 2049 (RFC 5280 §4.1.2.5). */
function time(value: Date): Time {
  return new Time({ type: value.getUTCFullYear() < 2050 ? TimeType.UTCTime : TimeType.GeneralizedTime, value })
}

async function certify(
  certificate: Certificate,
  keys: webcrypto.CryptoKeyPair,
  signer: webcrypto.CryptoKey,
): Promise<CertifiedKey> {
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey)
  await certificate.sign(signer, hash)
  const cert = new X509Certificate(Buffer.from(certificate.toSchema().toBER())).toString()
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString()
  return { cert, key }
}

function commonName(value: string): AttributeTypeAndValue {
  return new AttributeTypeAndValue({ type: oid.commonName, value: new Utf8String({ value }) })
}

function extension(extnID: string, value: { toBER(): ArrayBuffer }, critical: boolean): Extension {
  return new Extension({ extnID, critical, extnValue: value.toBER() })
}

function keyUsageExtension(use: keyof typeof keyUsage): Extension {
  const { bits, unusedBits } = keyUsage[use]
  return extension(oid.keyUsage, new BitString({ valueHex: Uint8Array.of(bits).buffer, unusedBits }), true)
}

function alternativeName(name: string): GeneralName {
  if (!ipaddr.isValid(name)) return new GeneralName({ type: generalName.dns, value: name })
  const valueHex = Uint8Array.from(ipaddr.parse(name).toByteArray()).buffer
  return new GeneralName({ type: generalName.ip, value: new OctetString({ valueHex }) })
}

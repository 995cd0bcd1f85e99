import { describe, expect, test } from 'vitest'
import { createProxyFor, type ProxySettings } from '../../../agent/upstream/proxies.ts'

const proxy = 'http://proxy.test:3128'

function proxyFor(url: string, settings: ProxySettings): string | undefined {
  return createProxyFor(settings)(new URL(url))
}

test('each scheme has its own proxy, and loopback none', () => {
  const settings = { http: 'http://plain.test:1', https: proxy }
  expect(proxyFor('http://registry.test/', settings)).toBe('http://plain.test:1')
  expect(proxyFor('https://registry.test/', settings)).toBe(proxy)
  expect(proxyFor('https://registry.test/', { http: proxy, https: '' })).toBeUndefined()
  for (const host of ['localhost', '127.0.0.1:5000', '[::1]:5000'])
    expect(proxyFor(`https://${host}/`, settings), host).toBeUndefined()
})

test.each([
  ['proxy.test:3128', proxy],
  ['10.0.0.1:3128', 'http://10.0.0.1:3128'],
  ['user:canary@proxy.test:3128', 'http://user:canary@proxy.test:3128'],
  ['https://proxy.test', 'https://proxy.test'],
  ['socks5://proxy.test:1080', 'socks5://proxy.test:1080'],
])('the proxy %s is %s', (https, meant) => {
  expect(proxyFor('https://registry.test/', { https })).toBe(meant)
})

describe('NO_PROXY, as Go reads it', () => {
  test.each([
    ['*', 'https://registry.test/'],
    ['other.test, registry.test', 'https://registry.test:5000/'],
    ['test', 'https://registry.test/'],
    ['Registry.Test.', 'https://registry.test/'],
    ['.corp.test', 'https://a.registry.corp.test/'],
    ['*.corp.test', 'https://registry.corp.test/'],
    ['registry.test:443', 'https://registry.test/'],
    ['registry.test:80', 'http://registry.test/'],
    ['10.0.0.7', 'https://10.0.0.7:5000/'],
    ['10.0.0.7:5000', 'https://10.0.0.7:5000/'],
    ['10.0.0.0/8', 'https://10.0.0.7:5000/'],
    ['192.168.0.0/16,10.96.0.0/12', 'http://10.97.3.2/'],
    ['fd00::7', 'https://[fd00::7]:5000/'],
    ['[fd00::7]:5000', 'https://[fd00:0::7]:5000/'],
    ['fd00::/8', 'https://[fd00::7]/'],
  ])('%s lets %s go without', (none, url) => {
    expect(proxyFor(url, { http: proxy, https: proxy, none })).toBeUndefined()
  })

  test.each([
    ['', 'https://registry.test/'],
    [' , ', 'https://registry.test/'],
    ['registry.test', 'https://evil-registry.test/'],
    ['registry.test', 'https://registry.test.evil/'],
    ['.corp.test', 'https://corp.test/'],
    ['*.corp.test', 'https://corp.test/'],
    ['registry.test:5000', 'https://registry.test/'],
    ['10.0.0.7', 'https://10.0.0.70/'],
    ['10.0.0.0/8', 'https://11.0.0.7/'],
    ['10.0.0.0/8', 'https://10.registry.test/'],
    ['10.0.0.0/8', 'https://[fd00::7]/'],
    ['10.0.0.0/99', 'https://10.0.0.7/'],
  ])('%s does not let %s', (none, url) => {
    expect(proxyFor(url, { http: proxy, https: proxy, none })).toBe(proxy)
  })
})

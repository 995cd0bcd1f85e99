import { expect, test } from 'vitest'
import { parseProviderConfig } from '../../../agent/credentials/provider-config.ts'
import { hour, minute } from '../../../core/units.ts'

/** As GKE writes it to its nodes. */
const gke = `kind: CredentialProviderConfig
apiVersion: kubelet.config.k8s.io/v1
providers:
  - name: auth-provider-gcp
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    matchImages:
    - "container.cloud.google.com"
    - "gcr.io"
    - "*.gcr.io"
    - "*.pkg.dev"
    args:
    - get-credentials
    - --v=3
    defaultCacheDuration: 1m
`

/** As EKS does. */
const eks = JSON.stringify({
  apiVersion: 'kubelet.config.k8s.io/v1',
  kind: 'CredentialProviderConfig',
  providers: [
    {
      name: 'ecr-credential-provider',
      matchImages: ['*.dkr.ecr.*.amazonaws.com', 'public.ecr.aws'],
      defaultCacheDuration: '12h0m0s',
      apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
      env: [{ name: 'AWS_PROFILE', value: 'default' }],
    },
  ],
})

test('the files of the clouds', () => {
  expect(parseProviderConfig(gke)).toMatchObject([
    { name: 'auth-provider-gcp', args: ['get-credentials', '--v=3'], env: {}, defaultCacheMs: minute },
  ])
  expect(parseProviderConfig(eks)).toMatchObject([
    {
      name: 'ecr-credential-provider',
      matchImages: [{ text: '*.dkr.ecr.*.amazonaws.com' }, { text: 'public.ecr.aws' }],
      args: [],
      env: { AWS_PROFILE: 'default' },
      defaultCacheMs: 12 * hour,
    },
  ])
})

test('a provider that answers only for the service account of a pod is left out', () => {
  const needing = `${gke}    tokenAttributes: { requireServiceAccount: true, serviceAccountTokenAudience: x }\n`
  expect(parseProviderConfig(needing)).toEqual([])
  expect(parseProviderConfig(needing.replace('true', 'false'))).toHaveLength(1)
})

test.each([
  ['kubelet.config.k8s.io/v1\n', 'kubelet.config.k8s.io/v1beta1\n', /apiVersion: is "kubelet.config.k8s.io\/v1beta1"/],
  ['kubelet.config.k8s.io/v1\n', 'kubelet.config.k8s.io/v1alpha1\n', /only kubelet.config.k8s.io\/v1 is understood/],
  [
    'credentialprovider.kubelet.k8s.io/v1\n',
    'credentialprovider.kubelet.k8s.io/v1beta1\n',
    /providers.0.apiVersion: is "credentialprovider.kubelet.k8s.io\/v1beta1"/,
  ],
  ['CredentialProviderConfig', 'KubeletConfiguration', /kind/],
  ['auth-provider-gcp', '../auth-provider-gcp', /name: expected a program's name/],
  ['auth-provider-gcp', '".."', /name: expected a program's name/],
  ['1m', '1d', /defaultCacheDuration: expected a duration/],
  ['"gcr.io"', '"https://gcr.io"', /matchImages.1: expected host/],
  ['providers:', 'providers: []\nothers:', /providers/],
  ['kind:', '\tkind:', /is no YAML/],
])('%j as %j is refused, and why', (text, other, why) => {
  expect(() => parseProviderConfig(gke.replace(text, other))).toThrow(why)
})

test('two of one name are refused; no error shows a variable', () => {
  const [head = '', provider = ''] = gke.split('providers:\n')
  expect(() => parseProviderConfig(`${head}providers:\n${provider}${provider}`)).toThrow(/names a provider twice/)
  const secret = `${gke}    env:\n    - name: KEY\n      value: [canary]\n`
  expect(() => parseProviderConfig(secret)).toThrow(/^(?!.*canary).*env.0.value/)
})

/** The registries, each as its documentation and its users describe it. Hosts are the real ones where there is one. */
import type { PullLimit, RegistryRow, Words } from './row.ts'

const json = { 'content-type': 'application/json' }
const xml = { 'content-type': 'application/xml' }

function oci(status: number, code: string, message: string, more: Partial<Words> = {}): Words {
  return { status, headers: json, body: JSON.stringify({ errors: [{ code, message }] }), ...more }
}

/** As docker distribution words it, whom most registries follow. */
const unauthorized = oci(401, 'UNAUTHORIZED', 'authentication required', { challenge: true })
const invalidToken = { ...unauthorized, error: 'invalid_token' } as const
const denied = oci(403, 'DENIED', 'requested access to the resource is denied')
const tooMany: PullLimit = { counts: 'requests', over: oci(429, 'TOOMANYREQUESTS', 'rate exceeded') }

const s3 = {
  redirectStatus: 307,
  head: { status: 403, headers: xml, body: '' },
  authorization: {
    status: 400,
    headers: xml,
    body: '<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified</Message></Error>',
  },
  expired: {
    status: 403,
    headers: xml,
    body: '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
  },
} as const
const s3Signature = 'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1200&X-Amz-Signature={signature}'

export const registryRows: readonly RegistryRow[] = [
  {
    name: 'Docker Hub',
    origin: 'docker.io',
    api: 'https://registry-1.docker.io',
    repositories: { open: 'busybox', private: 'acme/app' },
    credentials: { username: 'acme', password: 'dckr_pat_canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://auth.docker.io/token',
      service: 'registry.docker.io',
      lifetimeSeconds: 300,
      fields: ['token', 'access_token'],
      form: 'token',
      nobody: 'token',
      wrongSecret: 401,
      invalid: unauthorized,
      refusal: oci(401, 'UNAUTHORIZED', 'authentication required', { challenge: true }),
    },
    storage: {
      url: 'https://production.cloudflare.docker.com/registry-v2/docker/registry/v2/blobs/sha256/{hex}/data?verify={signature}',
      redirectStatus: 307,
      expired: { status: 403, body: 'expired' },
    },
    limit: {
      counts: 'manifests',
      headers: { 'ratelimit-limit': '{limit};w=21600', 'ratelimit-remaining': '{left};w=21600' },
      over: oci(
        429,
        'TOOMANYREQUESTS',
        'You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit',
      ),
    },
    sources: {
      'token service at auth.docker.io': 'https://docs.docker.com/docker-hub/usage/pulls/',
      'HEAD of a manifest is not counted, GET is; ratelimit headers': 'https://docs.docker.com/docker-hub/usage/pulls/',
      'the words of 429': 'https://github.com/docker/docs/issues/21908',
      'blobs at production.cloudflare.docker.com and production.cloudfront.docker.com':
        'https://github.com/docker/docs/pull/25122',
    },
  },
  {
    name: 'Amazon ECR (private)',
    origin: '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
    repositories: { private: 'team/app' },
    credentials: { username: 'AWS', password: 'ecr-canary-password' },
    access: {
      scheme: 'basic',
      challenge: 'Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"',
      refusal: { status: 401, body: 'Not Authorized\n', challenge: true },
    },
    storage: {
      ...s3,
      url: `https://prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com/{hex}?${s3Signature}`,
    },
    limit: tooMany,
    sources: {
      'Basic, user AWS': 'https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html',
      '307 to S3, as captured': 'https://github.com/open-policy-agent/opa/issues/6580',
      'S3 answers 400 to an Authorization beside the signature': 'https://github.com/open-policy-agent/opa/pull/6728',
      'S3 answers 403 to HEAD with a URL signed for GET': 'https://github.com/containerd/stargz-snapshotter/pull/167',
    },
  },
  {
    name: 'Amazon ECR Public',
    origin: 'public.ecr.aws',
    repositories: { open: 'docker/library/busybox', private: 'acme/hidden' },
    credentials: { username: 'AWS', password: 'ecr-public-canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://public.ecr.aws/token/',
      service: 'public.ecr.aws',
      scope: 'aws',
      lifetimeSeconds: 3600,
      fields: ['token'],
      form: 404,
      nobody: 'token',
      wrongSecret: 400,
      invalid: oci(400, 'DENIED', 'Your Authorization Token is invalid.'),
      refusal: denied,
    },
    storage: {
      url: 'https://d2glxqk2uabbnd.cloudfront.net/{hex}?Expires=1&Key-Pair-Id=K1&Signature={signature}',
      redirectStatus: 307,
      expired: { status: 403, headers: xml, body: '<Error><Code>AccessDenied</Code></Error>' },
    },
    blobHead: { status: 401, body: '' },
    limit: { counts: 'requests', over: oci(429, 'TOOMANYREQUESTS', 'Rate exceeded') },
    sources: {
      'the challenge, with scope "aws"':
        'https://github.com/renovatebot/renovate/blob/main/lib/modules/datasource/docker/index.spec.ts',
      'HEAD of a blob is 401, whatever the token': 'https://github.com/aws/containers-roadmap/issues/2671',
      'a token that has expired gets 400 without a challenge': 'https://github.com/aws/containers-roadmap/issues/2835',
      'the words of that 400': 'https://github.com/oras-project/oras-go/issues/1227',
      '429 after one request a second': 'https://github.com/aws/aws-lambda-web-adapter/issues/429',
    },
  },
  {
    name: 'Google Artifact Registry',
    origin: 'europe-west3-docker.pkg.dev',
    repositories: { open: 'acme-project/open/app', private: 'acme-project/team/app' },
    credentials: { username: 'oauth2accesstoken', password: 'ya29.canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://europe-west3-docker.pkg.dev/v2/token',
      service: 'europe-west3-docker.pkg.dev',
      pingLacks: 'service',
      lifetimeSeconds: 3600,
      fields: ['token'],
      form: 404,
      nobody: 'token',
      wrongSecret: 401,
      invalid: unauthorized,
      refusal: oci(
        403,
        'DENIED',
        'Unauthenticated request. Unauthenticated requests do not have permission "artifactregistry.repositories.downloadArtifacts"',
      ),
    },
    storage: {
      url: '/artifacts-downloads/namespaces/acme-project/repositories/team/downloads/{signature}',
      redirectStatus: 302,
      expired: { status: 403, body: 'expired' },
    },
    limit: tooMany,
    sources: {
      'the challenge, and its lack of a service at /v2/': 'https://github.com/apple/container/issues/2274',
      'blobs at /artifacts-downloads/ of the same host, readable without an Authorization':
        'https://github.com/ahmetb/serverless-registry-proxy/issues/8',
      'no form at the token service (404)': 'https://github.com/containerd/cri/pull/650',
    },
  },
  {
    name: 'Azure Container Registry',
    origin: 'acme.azurecr.io',
    repositories: { open: 'open/app', private: 'team/app' },
    credentials: { username: '00000000-0000-0000-0000-000000000000', password: 'acr-canary-refresh-token' },
    access: {
      scheme: 'bearer',
      realm: 'https://acme.azurecr.io/oauth2/token',
      service: 'acme.azurecr.io',
      lifetimeSeconds: 4500,
      fields: ['access_token'],
      form: 'token',
      nobody: 401,
      wrongSecret: 401,
      invalid: unauthorized,
      refusal: unauthorized,
      exchange: { url: 'https://acme.azurecr.io/oauth2/exchange', identityToken: 'aad-canary-token' },
    },
    storage: {
      url: 'https://weumanaged12.blob.core.windows.net/0123456789abcdef-blobs/{hex}?se=2026-11-26&sp=r&sv=2018-03-28&sig={signature}',
      redirectStatus: 307,
      authorization: {
        status: 400,
        headers: xml,
        body: '<Error><Code>InvalidAuthenticationInfo</Code><Message>Authentication information is not given in the correct format. Check the value of Authorization header.</Message></Error>',
      },
      expired: { status: 403, headers: xml, body: '<Error><Code>AuthenticationFailed</Code></Error>' },
    },
    limit: tooMany,
    sources: {
      'the challenge and its body': 'https://azure.github.io/acr/Token-BasicAuth.html',
      '/oauth2/exchange and /oauth2/token, refresh tokens': 'https://azure.github.io/acr/AAD-OAuth.html',
      '400 of the storage to an Authorization': 'https://github.com/Azure/acr/issues/217',
      '307 to a URL with a shared access signature': 'https://github.com/distribution/distribution/issues/3574',
    },
  },
  {
    name: 'GitHub Container Registry',
    origin: 'ghcr.io',
    repositories: { open: 'acme/open', private: 'acme/app' },
    credentials: { username: 'acme-bot', password: 'ghp_canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://ghcr.io/token',
      service: 'ghcr.io',
      lifetimeSeconds: 300,
      fields: ['token'],
      form: 405,
      nobody: 403,
      wrongSecret: 403,
      invalid: denied,
      refusal: denied,
    },
    storage: {
      ...s3,
      url: `https://pkg-containers.githubusercontent.com/ghcr1/blobs/sha256:{hex}?${s3Signature}`,
    },
    limit: tooMany,
    sources: {
      'the challenge and the token without a secret': 'https://github.com/Mic92/niks3/issues/229',
      'DENIED without a challenge to whoever showed something': 'https://github.com/renovatebot/renovate/issues/11446',
      '403 of the token service': 'https://github.com/apple/container/issues/183',
      'storage that refuses HEAD, and URLs that expire in minutes':
        'https://github.com/containerd/stargz-snapshotter/pull/167',
    },
  },
  {
    name: 'Quay',
    origin: 'quay.io',
    repositories: { open: 'acme/open', private: 'acme/app' },
    credentials: { username: 'acme+robot', password: 'QUAYCANARY' },
    access: {
      scheme: 'bearer',
      realm: 'https://quay.io/v2/auth',
      service: 'quay.io',
      also: 'Basic realm="quay.io"',
      openToNobody: 'content',
      lifetimeSeconds: 3600,
      fields: ['token'],
      form: 405,
      nobody: 'token',
      wrongSecret: 401,
      invalid: oci(401, 'UNAUTHORIZED', 'access to the requested resource is not authorized', { challenge: true }),
      refusal: oci(401, 'UNAUTHORIZED', 'access to the requested resource is not authorized', { challenge: true }),
    },
    storage: {
      ...s3,
      redirectStatus: 302,
      url: `https://cdn01.quay.io/quayio-production-s3/sha256/{hex}?${s3Signature}`,
    },
    limit: tooMany,
    sources: {
      'the realm, and 200 without any token for what is open': 'https://github.com/quay/claircore/pull/879',
      'Basic and Bearer on one line': 'https://github.com/prowler-cloud/prowler/pull/12691',
      'blobs at cdn01.quay.io': 'https://github.com/quay/quay-docs/issues/149',
    },
  },
  {
    name: 'Harbor',
    origin: 'harbor.example.com',
    repositories: { open: 'library/app', private: 'team/app' },
    credentials: { username: 'robot$team+puller', password: 'harbor-canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://harbor.example.com/service/token',
      service: 'harbor-registry',
      lifetimeSeconds: 1800,
      fields: ['token', 'access_token'],
      form: 405,
      nobody: 'token',
      wrongSecret: 401,
      invalid: unauthorized,
      refusal: oci(401, 'UNAUTHORIZED', 'unauthorized to access repository: team/app, action: pull', {
        challenge: true,
      }),
    },
    blocked: oci(
      412,
      'PROJECTPOLICYVIOLATION',
      'current image with 86 vulnerabilities cannot be pulled due to configured policy in \'Prevent images with vulnerability severity of "Medium" or higher from running.\'',
    ),
    limit: tooMany,
    sources: {
      'the token service has no form (405)': 'https://github.com/goharbor/harbor/issues/10305',
      '412 PROJECTPOLICYVIOLATION, its words': 'https://github.com/goharbor/harbor/issues/13825',
      'the policy speaks only to whom shows a token': 'https://github.com/goharbor/harbor/pull/9802',
      'the challenge, as captured': 'https://github.com/goharbor/harbor/issues/15035',
    },
  },
  {
    name: 'GitLab',
    origin: 'registry.gitlab.com',
    repositories: { open: 'acme/open', private: 'acme/app' },
    credentials: { username: 'deploy-token', password: 'gldt-canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://gitlab.com/jwt/auth',
      service: 'container_registry',
      lifetimeSeconds: 900,
      fields: ['token'],
      form: 404,
      nobody: 'token',
      wrongSecret: 401,
      invalid: unauthorized,
      refusal: unauthorized,
    },
    storage: {
      url: 'https://storage.googleapis.com/gitlab-registry/docker/registry/v2/blobs/sha256/{hex}/data?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Expires=1200&X-Goog-Signature={signature}',
      redirectStatus: 307,
      expired: { status: 400, headers: xml, body: '<Error><Code>ExpiredToken</Code></Error>' },
    },
    limit: tooMany,
    sources: {
      'tokens of 15 minutes (5 on own instances)':
        'https://docs.gitlab.com/user/packages/container_registry/authenticate_with_container_registry.html',
      'the token service is GitLab itself': 'https://gitlab.com/gitlab-org/gitlab/-/issues/439058',
      'blobs at Google Cloud Storage or its CDN, by signed URLs':
        'https://gitlab.com/gitlab-org/gitlab/-/issues/350048',
      '400 ExpiredToken of Google Cloud Storage to a signed URL that has expired':
        'https://github.com/floci-io/floci-gcp/pull/33',
    },
  },
  {
    name: 'Docker Distribution (htpasswd)',
    origin: 'registry.example.com',
    repositories: { private: 'team/app' },
    credentials: { username: 'team', password: 'htpasswd-canary' },
    access: {
      scheme: 'basic',
      challenge: 'Basic realm="Registry Realm"',
      refusal: oci(401, 'UNAUTHORIZED', 'authentication required', { challenge: true }),
    },
    limit: tooMany,
    sources: { 'Basic realm, error body': 'https://distribution.github.io/distribution/about/configuration/#htpasswd' },
  },
  {
    name: 'Docker Distribution (token)',
    origin: 'docker.example.com',
    repositories: { open: 'open/app', private: 'team/app' },
    credentials: { username: 'team', password: 'token-canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://auth.example.com/token',
      service: 'registry.test',
      lifetimeSeconds: 60,
      fields: ['token', 'access_token'],
      form: 'token',
      nobody: 'token',
      wrongSecret: 401,
      invalid: invalidToken,
      refusal: unauthorized,
    },
    storage: {
      ...s3,
      url: `https://registry-bucket.s3.amazonaws.com/docker/registry/v2/blobs/sha256/{hex}/data?${s3Signature}`,
    },
    limit: tooMany,
    sources: {
      'the token protocol': 'https://distribution.github.io/distribution/spec/auth/token/',
      'error="invalid_token" to a token that has expired':
        'https://github.com/distribution/distribution/blob/v2.8.2/registry/auth/token/accesscontroller.go',
      'its OAuth2 form': 'https://distribution.github.io/distribution/spec/auth/oauth/',
      'redirects to the storage': 'https://distribution.github.io/distribution/about/configuration/#redirect',
    },
  },
  {
    name: 'zot',
    origin: 'zot.example.com',
    repositories: { open: 'open/app', private: 'team/app' },
    credentials: { username: 'team', password: 'zot-canary' },
    access: {
      scheme: 'basic',
      challenge: 'Basic realm="zot"',
      refusal: oci(401, 'UNAUTHORIZED', 'authentication required', { challenge: true }),
    },
    limit: tooMany,
    sources: {
      'htpasswd, a realm of its own, and an anonymous policy per repository':
        'https://zotregistry.dev/v2.1.23/articles/authn-authz/',
    },
  },
  {
    name: 'JFrog Artifactory (repository in the path)',
    origin: 'acme.jfrog.io',
    repositories: { open: 'docker-open/app', private: 'docker-local/app' },
    credentials: { username: 'robot', password: 'jfrog-canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://acme.jfrog.io/artifactory/api/docker/docker-local/v2/token',
      service: 'acme.jfrog.io',
      lifetimeSeconds: 3600,
      fields: ['token'],
      form: 405,
      nobody: 'token',
      wrongSecret: 401,
      invalid: unauthorized,
      refusal: oci(403, 'DENIED', 'The client does not have permission for manifest'),
    },
    storage: {
      ...s3,
      redirectStatus: 302,
      url: `https://acme-filestore.s3.amazonaws.com/filestore/{hex}?${s3Signature}`,
    },
    limit: tooMany,
    sources: {
      'token service below the repository':
        'https://jfrog.com/help/r/how-to-troubleshoot-docker-problems/docker-login-docker.art.local',
      '302 to the cloud storage, where configured':
        'https://jfrog.com/help/r/jfrog-installation-setup-documentation/step-2-specify-repositories-for-direct-download',
    },
  },
  {
    name: 'JFrog Artifactory (API below a path)',
    origin: 'docker.art.example.com',
    api: 'https://artifactory.example.com/artifactory/api/docker/docker-local',
    repositories: { private: 'app' },
    credentials: { username: 'robot', password: 'jfrog-prefix-canary' },
    access: {
      scheme: 'bearer',
      realm: 'https://artifactory.example.com/artifactory/api/docker/docker-local/v2/token',
      service: 'artifactory.example.com',
      lifetimeSeconds: 3600,
      fields: ['token'],
      form: 405,
      nobody: 401,
      wrongSecret: 401,
      invalid: unauthorized,
      refusal: unauthorized,
    },
    limit: tooMany,
    sources: {
      'the prefix api/docker/<repository>':
        'https://jfrog.com/help/r/jfrog-artifactory-documentation/docker-v1-repository-path-and-domain',
      'requests below the prefix, as logged':
        'https://jfrog.com/help/r/how-to-troubleshoot-docker-problems/docker-login-docker.art.local',
    },
  },
]

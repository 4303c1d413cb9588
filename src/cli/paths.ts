/** Paths of the API's resources. */
const part = encodeURIComponent;

export const paths = {
  site: "/v1/site",
  links: "/v1/links",
  alarms: "/v1/alarms",
  members: "/v1/members",
  plan: "/v1/plan",
  apply: "/v1/apply",
  explain: "/v1/explain",
  lint: "/v1/lint",
  tenants: "/v1/tenants",
  tenant: (tenant: string) => `/v1/tenants/${part(tenant)}`,
  users: (tenant: string) => `/v1/tenants/${part(tenant)}/users`,
  keys: (tenant: string) => `/v1/tenants/${part(tenant)}/keys`,
  key: (tenant: string, kind: string) => `/v1/tenants/${part(tenant)}/keys/${part(kind)}`,
  schemas: (tenant: string) => `/v1/tenants/${part(tenant)}/schemas`,
  schema: (tenant: string, name: string) => `/v1/tenants/${part(tenant)}/schemas/${part(name)}`,
  schemaVersion: (tenant: string, name: string, version: number) =>
    `${paths.schema(tenant, name)}/versions/${version}`,
  schemaCheck: (tenant: string, name: string) => `${paths.schema(tenant, name)}/check`,
  exports: (tenant: string) => `/v1/tenants/${part(tenant)}/exports`,
  export: (tenant: string, name: string) => `/v1/tenants/${part(tenant)}/exports/${part(name)}`,
  diff: (tenant: string, name: string) => `${paths.export(tenant, name)}/diff`,
  shadow: (tenant: string, name: string, samples = false) =>
    `${paths.export(tenant, name)}/shadow${samples ? "?samples=true" : ""}`,
  imports: (tenant: string) => `/v1/tenants/${part(tenant)}/imports`,
  /** `origin` names a transit import. */
  import: (tenant: string, peer: string, origin?: string) =>
    `/v1/tenants/${part(tenant)}/imports/${part(peer)}${origin === undefined ? "" : `?origin=${part(origin)}`}`,
  erasures: (tenant: string) => `/v1/tenants/${part(tenant)}/erasures`,
  erasure: (tenant: string, id: string) => `/v1/tenants/${part(tenant)}/erasures/${part(id)}`,
  replays: (tenant: string) => `/v1/tenants/${part(tenant)}/replays`,
  replay: (tenant: string, id: string, query: string) =>
    `/v1/tenants/${part(tenant)}/replays/${part(id)}${query === "" ? "" : `?${query}`}`,
  audit: (query: string) => `/v1/audit${query === "" ? "" : `?${query}`}`,
  auditExport: (query: string) => `/v1/audit/export${query === "" ? "" : `?${query}`}`,
  tokens: "/v1/tokens",
  token: (id: string) => `/v1/tokens/${part(id)}`,
  rotateBootstrap: "/v1/tokens/bootstrap/rotate",
  whoami: "/v1/whoami",
  peers: "/v1/peers",
  peer: (peer: string) => `/v1/peers/${part(peer)}`,
  revokePeer: (peer: string) => `/v1/peers/${part(peer)}/revoke`,
  invitations: "/v1/invitations",
  invitation: (id: string) => `/v1/invitations/${part(id)}`,
  joins: "/v1/joins",
  rotations: "/v1/rotations",
  settledRotation: (what: string) => `/v1/rotations/${part(what)}?wait=true`,
  finishRotation: (what: string) => `/v1/rotations/${part(what)}/finish`,
  deadLetters: (tenant: string, query: string) =>
    `/v1/tenants/${part(tenant)}/dlq${query === "" ? "" : `?${query}`}`,
  deadLetter: (tenant: string, sequence: number, query: string) =>
    `/v1/tenants/${part(tenant)}/dlq/${sequence}${query === "" ? "" : `?${query}`}`,
  dropDeadLetters: (tenant: string) => `/v1/tenants/${part(tenant)}/dlq/drop`,
  redrives: (tenant: string) => `/v1/tenants/${part(tenant)}/dlq/redrives`,
  redrive: (tenant: string, id: string, query: string) =>
    `/v1/tenants/${part(tenant)}/dlq/redrives/${part(id)}?${query}`,
} as const;

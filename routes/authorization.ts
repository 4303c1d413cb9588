/** Who may call which operation: one row an operation, by its id. What does not stand here is refused to everybody. */
import type { Role } from "../src/model/principal.ts";

/** Who may call an operation, and what of the site it shows. */
export type Access =
  /** Anybody, without a token. */
  | { readonly type: "open" }
  /** Anybody; who shows a token is told more. */
  | { readonly type: "told"; readonly more: readonly Role[] }
  /** The whole site: for a tenant-admin it is not there. */
  | { readonly type: "site"; readonly roles: readonly Role[] }
  /** The `{tenant}` of the path: for a tenant-admin no other one is there. */
  | { readonly type: "tenant"; readonly roles: readonly Role[] }
  /** The handler shows a tenant-admin its own tenant alone, see `visible.ts`. */
  | { readonly type: "filtered"; readonly roles: readonly Role[] };

const ALL: readonly Role[] = ["operator", "tenant-admin", "viewer", "auditor"];
const WHOLE_SITE: readonly Role[] = ["operator", "viewer", "auditor"];
/** Who may change a tenant, and see payloads that no policy has redacted. */
const OF_TENANT: readonly Role[] = ["operator", "tenant-admin"];

const open: Access = { type: "open" };
const told = (...more: readonly Role[]): Access => ({ type: "told", more });
const site = (...roles: readonly Role[]): Access => ({ type: "site", roles });
const tenant = (...roles: readonly Role[]): Access => ({ type: "tenant", roles });
const filtered = (...roles: readonly Role[]): Access => ({ type: "filtered", roles });

/** The table, by operation id. `test/unit/routes/authorization.test.ts` holds it against the OpenAPI document. */
export const ACCESS: Readonly<Record<string, Access>> = {
  healthz: open,
  readyz: told(...WHOLE_SITE),
  openapi: open,
  page: open,
  // Open where the sidecar is started so, see `openMetrics`.
  metrics: site(...WHOLE_SITE),

  whoami: filtered(...ALL),
  listTokens: site("operator", "auditor"),
  createToken: site("operator"),
  deleteToken: site("operator"),
  rotateBootstrap: site("operator"),

  startErasure: tenant(...OF_TENANT),
  listErasures: tenant(...ALL),
  getErasure: tenant(...ALL),

  startReplay: tenant(...OF_TENANT),
  listReplays: tenant(...ALL),
  getReplay: tenant(...ALL),
  changeReplay: tenant(...OF_TENANT),
  cancelReplay: tenant(...OF_TENANT),

  listAudit: site("operator", "auditor"),
  exportAudit: site("operator", "auditor"),

  getSite: filtered(...ALL),
  listAlarms: filtered(...ALL),
  // Names views of all tenants.
  listMembers: site(...WHOLE_SITE),
  listLinks: filtered(...ALL),
  getPlan: filtered(...ALL),
  apply: site("operator"),
  getLint: filtered(...ALL),
  // Looks at the text that is sent, at nothing of this site.
  lint: filtered(...ALL),

  listPeers: site(...WHOLE_SITE),
  getPeer: site(...WHOLE_SITE),
  putPeer: site("operator"),
  deletePeer: site("operator"),
  revokePeer: site("operator"),
  listInvitations: site(...WHOLE_SITE),
  createInvitation: site("operator"),
  deleteInvitation: site("operator"),
  // Its preview only reads, but what is shown to it is a secret of another site.
  join: site("operator"),
  listRotations: site(...WHOLE_SITE),
  getRotation: site(...WHOLE_SITE),
  startRotation: site("operator"),
  finishRotation: site("operator"),

  listTenants: filtered(...ALL),
  getTenant: tenant(...ALL),
  // Of a tenant-admin only the fields in `visible.ts`.
  putTenant: tenant(...OF_TENANT),
  deleteTenant: tenant("operator"),
  listUsers: tenant(...ALL),
  listKeys: tenant(...ALL),
  rotateKey: tenant(...OF_TENANT),

  listSchemas: tenant(...ALL),
  getSchema: tenant(...ALL),
  putSchema: tenant(...OF_TENANT),
  deleteSchema: tenant(...OF_TENANT),
  checkSchema: tenant(...ALL),
  getSchemaVersion: tenant(...ALL),
  putSchemaVersion: tenant(...OF_TENANT),
  deleteSchemaVersion: tenant(...OF_TENANT),

  listExports: tenant(...ALL),
  getExport: tenant(...ALL),
  putExport: tenant(...OF_TENANT),
  deleteExport: tenant(...OF_TENANT),
  // Reads all stored events, and shows samples of them.
  diffExport: tenant(...OF_TENANT),
  // Samples only to who may see payloads.
  getShadow: tenant(...ALL),
  putShadow: tenant(...OF_TENANT),
  deleteShadow: tenant(...OF_TENANT),

  listImports: tenant(...ALL),
  getImport: tenant(...ALL),
  putImport: tenant(...OF_TENANT),
  deleteImport: tenant(...OF_TENANT),

  // Who may ask what becomes of an event can find the value behind a pseudonym by trying.
  explain: filtered(...OF_TENANT),
  explainTenant: tenant(...OF_TENANT),

  // Headers and payloads of events only to who may see payloads.
  listDeadLetters: tenant(...ALL),
  getDeadLetter: tenant(...ALL),
  dropDeadLetter: tenant(...OF_TENANT),
  dropDeadLetters: tenant(...OF_TENANT),
  startRedrive: tenant(...OF_TENANT),
  listRedrives: tenant(...ALL),
  getRedrive: tenant(...ALL),
  cancelRedrive: tenant(...OF_TENANT),
};

/** Whether a role may see events as they were published: payloads, headers, what leaves of samples. */
export function maySeePayloads(role: Role): boolean {
  return OF_TENANT.includes(role);
}

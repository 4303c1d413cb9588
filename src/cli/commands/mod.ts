/** Every command, in the order of the overview. */
import type { Command } from "../command.ts";
import { ALARM_LIST } from "./alarms.ts";
import { APPLY, PLAN } from "./apply.ts";
import { AUDIT_EXPORT, AUDIT_LIST, AUDIT_VERIFY } from "./audit.ts";
import { BACKUP, RESTORE } from "./backup.ts";
import { CA_SHOW } from "./ca.ts";
import { DLQ_DROP, DLQ_LIST, DLQ_REDRIVE, DLQ_SHOW } from "./dlq.ts";
import { ERASE, ERASURE_LIST } from "./erase.ts";
import { EXPLAIN } from "./explain.ts";
import { EXPORT_LIST, EXPORT_PUT, EXPORT_REMOVE, EXPORT_SHOW } from "./export.ts";
import { IMPORT_LIST, IMPORT_PUT, IMPORT_REMOVE } from "./import.ts";
import { INIT } from "./init.ts";
import { MEMBERS } from "./members.ts";
import { PEER_ADD, PEER_LIST, PEER_REMOVE, PEER_TRUST } from "./peer.ts";
import { PEER_INVITATIONS, PEER_INVITE, PEER_JOIN, PEER_REVOKE, PEER_UNINVITE } from "./peer_join.ts";
import { PEER_ROTATE } from "./peer_rotate.ts";
import { POLICY_DIFF, SHADOW_CLEAR, SHADOW_SET, SHADOW_SHOW } from "./policy_diff.ts";
import { POLICY_TEST } from "./policy_test.ts";
import {
  REPLAY_CANCEL,
  REPLAY_LIST,
  REPLAY_PAUSE,
  REPLAY_RESUME,
  REPLAY_SHOW,
  REPLAY_START,
} from "./replay.ts";
import { SCHEMA_ADD, SCHEMA_CHECK, SCHEMA_LIST, SCHEMA_REMOVE, SCHEMA_SHOW } from "./schema.ts";
import { LINT, UP, VERSION } from "./sidecar.ts";
import { LINKS, STATUS } from "./status.ts";
import { TENANT_ADD, TENANT_LIST, TENANT_REMOVE, TENANT_SHOW } from "./tenant.ts";
import { TENANT_KEY_LIST, TENANT_KEY_ROTATE } from "./tenant_key.ts";
import { TENANT_USER_ADD, TENANT_USER_LIST, TENANT_USER_REMOVE, TENANT_USER_REVOKE } from "./tenant_user.ts";
import { TOKEN_ADD, TOKEN_LIST, TOKEN_REVOKE, TOKEN_ROTATE_BOOTSTRAP, WHOAMI } from "./token.ts";

export const COMMANDS: readonly Command[] = [
  INIT,
  UP,
  LINT,
  STATUS,
  LINKS,
  ALARM_LIST,
  MEMBERS,
  PLAN,
  APPLY,
  EXPLAIN,
  POLICY_TEST,
  POLICY_DIFF,
  SHADOW_SET,
  SHADOW_SHOW,
  SHADOW_CLEAR,
  TENANT_LIST,
  TENANT_SHOW,
  TENANT_ADD,
  TENANT_REMOVE,
  TENANT_USER_LIST,
  TENANT_USER_ADD,
  TENANT_USER_REMOVE,
  TENANT_USER_REVOKE,
  TENANT_KEY_LIST,
  TENANT_KEY_ROTATE,
  PEER_LIST,
  PEER_ADD,
  PEER_TRUST,
  PEER_REMOVE,
  PEER_INVITE,
  PEER_INVITATIONS,
  PEER_UNINVITE,
  PEER_JOIN,
  PEER_REVOKE,
  PEER_ROTATE,
  CA_SHOW,
  SCHEMA_LIST,
  SCHEMA_SHOW,
  SCHEMA_ADD,
  SCHEMA_CHECK,
  SCHEMA_REMOVE,
  EXPORT_LIST,
  EXPORT_SHOW,
  EXPORT_PUT,
  EXPORT_REMOVE,
  IMPORT_LIST,
  IMPORT_PUT,
  IMPORT_REMOVE,
  DLQ_LIST,
  DLQ_SHOW,
  DLQ_DROP,
  DLQ_REDRIVE,
  REPLAY_START,
  REPLAY_LIST,
  REPLAY_SHOW,
  REPLAY_PAUSE,
  REPLAY_RESUME,
  REPLAY_CANCEL,
  ERASE,
  ERASURE_LIST,
  BACKUP,
  RESTORE,
  AUDIT_LIST,
  AUDIT_EXPORT,
  AUDIT_VERIFY,
  TOKEN_LIST,
  TOKEN_ADD,
  TOKEN_REVOKE,
  TOKEN_ROTATE_BOOTSTRAP,
  WHOAMI,
  VERSION,
];

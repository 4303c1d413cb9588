/** What the main thread and a thread of views say to each other: plain data, as structured clone carries it. */

import type { ErrorCode } from "../../model/errors.ts";
import type { CompileOptions } from "../../policy/compile.ts";
import type { Redriven } from "../redrive_queue.ts";
import type { ViewStats } from "../view_worker.ts";

/** One view: which policy of which tenant fills it from which stream. */
export interface ViewTarget {
  /** `<tenant>/<policy>`. */
  readonly key: string;
  readonly tenant: string;
  readonly policy: string;
  readonly sourceStream: string;
  readonly viewStream: string;
}

/** How a view decides, as data: the thread compiles it. Whatever deciding needs later belongs in here. */
export interface ViewPolicy {
  readonly compile: CompileOptions;
  /** Stands in every event of the view. */
  readonly version: string;
}

/** Where a thread's own connection goes. */
export interface ThreadConnection {
  readonly site: string;
  /** `host:port`, or a URL of an external server. */
  readonly server: string;
  /** Seed of the sidecar's user in MESH; it stays within this process. */
  readonly seed: Uint8Array;
}

export type ThreadRequest =
  /** The first message, once. */
  | {
      readonly type: "open";
      readonly connection: ThreadConnection;
      /** It may write only for as long as it is told that it may. */
      readonly fenced: boolean;
    }
  /** For how long the views may be written, from when this was asked. */
  | { readonly type: "lease"; readonly asked: number; readonly ms: number }
  /** Are you there? Whatever the thread says next is the answer. */
  | { readonly type: "ping" }
  | { readonly type: "start"; readonly target: ViewTarget; readonly policy: ViewPolicy }
  | {
      readonly type: "change";
      readonly request: number;
      readonly key: string;
      readonly policy: ViewPolicy;
    }
  | { readonly type: "stop"; readonly request: number; readonly key: string }
  | {
      readonly type: "redrive";
      readonly request: number;
      readonly key: string;
      readonly sequences: readonly number[];
      readonly dryRun: boolean;
    };

/** What a request that is answered gets. */
export interface ThreadAnswers {
  /** Source sequence of the last event that the policy before decided. */
  readonly change: number;
  /** Source sequence up to which all is dealt with. */
  readonly stop: number;
  readonly redrive: readonly (Redriven | null)[];
}

export type AskedRequest = Extract<ThreadRequest, { readonly request: number }>;

export type ThreadReport =
  /** For how long may the views be written? `asked`: the thread's own time. */
  | { readonly type: "lease"; readonly asked: number }
  | { readonly type: "alive" }
  | { readonly type: "stats"; readonly key: string; readonly stats: ViewStats }
  | { readonly type: "log"; readonly message: string }
  /** `answer` is that of {@link ThreadAnswers} to the request of this number. */
  | {
      readonly type: "done";
      readonly request: number;
      readonly answer: ThreadAnswers[keyof ThreadAnswers];
    }
  | {
      readonly type: "refused";
      readonly request: number;
      readonly code: ErrorCode;
      readonly message: string;
    }
  /** The thread cannot go on; the one that started it ends it. */
  | { readonly type: "failed"; readonly message: string };

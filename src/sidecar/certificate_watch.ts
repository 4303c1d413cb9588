/** Renews the certificate of the links in time, and says of each certificate that nears its end. */
import type { CertificateReport } from "../control/site_api.ts";
import { errorText } from "../model/errors.ts";
import type { SitePki } from "../nats/pki/site_pki.ts";

const EVERY_MS = 10 * 60_000;
/** A warning that stands is said again after this long. */
const AGAIN_MS = 24 * 3_600_000;

export interface CertificateWatchOptions {
  readonly pki: Pick<SitePki, "renewAt" | "renewLink" | "link">;
  readonly certificates: () => readonly CertificateReport[];
  /** The certificate is another one: the server must read it. */
  readonly renewed: () => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  readonly now: () => Date;
}

export class CertificateWatch implements Disposable {
  readonly #options: CertificateWatchOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #said = new Map<string, number>();

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.look(), EVERY_MS);
  }

  /** Looks once; what fails is tried again at the next look. */
  async look(): Promise<void> {
    const { pki, certificates, renewed, log, now } = this.#options;
    if (now() >= pki.renewAt) {
      try {
        await pki.renewLink();
        renewed();
        log("info", `the certificate of the links is renewed, until ${pki.link.notAfter.toISOString()}`);
      } catch (error) {
        log("error", `the certificate of the links cannot be renewed: ${errorText(error)}`);
      }
    }
    for (const { problem, fingerprint } of certificates()) {
      const last = this.#said.get(fingerprint);
      if (problem === null || (last !== undefined && now().getTime() - last < AGAIN_MS)) continue;
      this.#said.set(fingerprint, now().getTime());
      log("warn", problem);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Takes another certificate of the API into use when its files change, without a restart. What is no good changes nothing, and is told. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { describeCertificate } from "../model/certificate.ts";
import { errorText } from "../model/errors.ts";
import type { SitePki } from "../nats/pki/site_pki.ts";
import type { TlsFiles } from "../runtime/serve.ts";

const EVERY_MS = 2000;
/** One of the site's own CA is made anew when this part of its life is over. */
const RENEW_AFTER = 2 / 3;

export interface ApiTlsWatchOptions {
  /** What the site file names now. @throws when it cannot be read */
  readonly load: () => Promise<TlsFiles | null>;
  /** The CA that issues it; `null`: it stands in files. */
  readonly self: Pick<SitePki, "fingerprint"> | null;
  readonly replace: (tls: TlsFiles) => Promise<void>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  readonly now: () => Date;
  /** Default 2 s. */
  readonly everyMs?: number;
}

export class ApiTlsWatch implements AsyncDisposable {
  readonly #options: ApiTlsWatchOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  /** What is shown. */
  #shown: TlsFiles;
  #issuer: string | null;
  /** What was wrong at the last look, and what was told of it. */
  #wrong: string | null = null;
  #told: string | null = null;
  #looking: Promise<void> = Promise.resolve();

  constructor(shown: TlsFiles, options: ApiTlsWatchOptions) {
    this.#shown = shown;
    this.#options = options;
    this.#issuer = options.self?.fingerprint ?? null;
    this.#timer = setInterval(() => void this.look(), options.everyMs ?? EVERY_MS);
  }

  /** Looks once. Looks come one after another. */
  async look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    await this.#looking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { load, self, replace, log, now } = this.#options;
    try {
      if (self !== null && !this.#isDue(self)) return;
      const next = await load();
      if (next === null || (next.cert === this.#shown.cert && next.key === this.#shown.key)) {
        this.#wrong = this.#told = null;
        return;
      }
      const problem = tlsProblem(next, now());
      if (problem !== null) return this.#keep(problem);
      await replace(next);
      this.#shown = next;
      this.#issuer = self?.fingerprint ?? null;
      this.#wrong = this.#told = null;
      const until = describeCertificate(next.cert).notAfter.toISOString();
      log("info", `the API has another certificate, good until ${until}`);
    } catch (error) {
      this.#keep(errorText(error));
    }
  }

  /** Two files are seldom replaced at once: only what is wrong at two looks is told, and once. */
  #keep(problem: string): void {
    if (this.#wrong === problem && this.#told !== problem) {
      this.#options.log("warn", `the certificate of the API stays as it was: ${problem}`);
      this.#told = problem;
    }
    this.#wrong = problem;
  }

  #isDue({ fingerprint }: Pick<SitePki, "fingerprint">): boolean {
    const { notBefore, notAfter } = describeCertificate(this.#shown.cert);
    const life = notAfter.getTime() - notBefore.getTime();
    const renewAt = notBefore.getTime() + life * RENEW_AFTER;
    return fingerprint !== this.#issuer || this.#options.now().getTime() >= renewAt;
  }
}

/** Why a certificate and a key cannot be shown; `null` when they can. What the key holds is never repeated. */
export function tlsProblem({ cert, key }: TlsFiles, now: Date): string | null {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return "api.tls.cert holds no certificate in PEM";
  }
  const { notBefore, notAfter } = describeCertificate(cert);
  if (now >= notAfter) return `the one in api.tls.cert has expired at ${notAfter.toISOString()}`;
  if (now < notBefore) return `the one in api.tls.cert is good from ${notBefore.toISOString()} on`;
  try {
    return certificate.checkPrivateKey(createPrivateKey(key))
      ? null
      : "api.tls.key is not the key of api.tls.cert";
  } catch {
    return "api.tls.key holds no private key in PEM that can be read";
  }
}

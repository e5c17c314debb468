import { connect } from "node:net";

/** What a server answered to PING and INFO. */
interface Greeting {
  /** It answered PING, and not with "still loading"; a refusal for want of a password is an answer. */
  awake: boolean;
  /** The process that answered; `undefined` when it did not report its id. */
  pid: number | undefined;
}

/** Asks the process that listens on a loopback port for its id, over a raw socket, for at most `patience` ms. */
export async function greet(port: number, patience: number): Promise<Greeting> {
  const answer = await converse(port, "PING\r\nINFO server\r\nQUIT\r\n", patience);
  const pid = /^process_id:(\d+)\r?$/m.exec(answer)?.[1];
  return {
    awake: answer !== "" && !answer.startsWith("-LOADING"),
    pid: pid === undefined ? undefined : Number(pid),
  };
}

async function converse(port: number, question: string, patience: number): Promise<string> {
  return await new Promise((resolve) => {
    let answer = "";
    const socket = connect({ host: "127.0.0.1", port });
    const timer = setTimeout(() => socket.destroy(), patience);
    socket.setEncoding("utf8");
    socket.on("connect", () => socket.write(question));
    socket.on("data", (text: string) => (answer += text));
    // A refused connection is no answer; "close" follows every error.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

// What people do with starknet.js: each step says what it found as one line of JSON.
// Arguments: the folder of the packages, and the facts of a devnet as JSON.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, told] = process.argv.slice(2);
const facts = JSON.parse(told);
const entry = createRequire(join(packages, "package.json")).resolve("starknet");
const { Account, CallData, Contract, RpcProvider, WebSocketChannel, config, ec, hash } =
  await import(pathToFileURL(entry));

// It recommends more transactions for its tips than a young chain has.
config.set("logLevel", "ERROR");

const say = (step, found) =>
  console.log(
    JSON.stringify({ step, ...found }, (_, value) =>
      typeof value === "bigint" ? value.toString() : value,
    ),
  );

const often = { retryInterval: 50 };
const [first, second] = facts.accounts;
const provider = new RpcProvider({ nodeUrl: facts.http });
const account = new Account({
  provider,
  address: first.address,
  signer: first.private_key,
});
const transfer = (recipient, amount) => ({
  contractAddress: facts.token.address,
  entrypoint: "transfer",
  calldata: CallData.compile({ recipient, amount: { low: amount, high: 0 } }),
});

async function connects() {
  const block = await provider.getBlockWithTxs("latest");
  say("connects", {
    version: await provider.getSpecVersion(),
    chain: await provider.getChainId(),
    starknet: block.starknet_version,
    hash: block.block_hash,
  });
}

async function executes() {
  const fee = await account.estimateInvokeFee([transfer(second.address, 5)]);
  const sent = await account.execute([transfer(second.address, 5)]);
  const receipt = await provider.waitForTransaction(sent.transaction_hash, often);
  say("executes", {
    fee: fee.overall_fee,
    succeeded: receipt.isSuccess(),
    finality: receipt.finality_status,
  });
}

async function usesContracts() {
  const { abi } = await provider.getClassAt(facts.token.address);
  const token = new Contract({ abi, address: facts.token.address, providerOrAccount: account });
  const before = await token.balance_of(second.address);
  const sent = await token.transfer(second.address, 7n);
  const receipt = await provider.waitForTransaction(sent.transaction_hash, often);
  const found = await provider.getClassAt(facts.exchange.address);
  const exchange = new Contract({
    abi: found.abi,
    address: facts.exchange.address,
    providerOrAccount: provider,
  });
  const system = await exchange.get_system();
  say("usesContracts", {
    paid: (await token.balance_of(second.address)) - before,
    drill: system.drill,
    events: exchange.parseEvents(receipt).map((event) => event["perpchain::Transferred"]),
  });
}

async function deploysAnAccount() {
  const key = "0x5eed";
  const publicKey = ec.starkCurve.getStarkKey(key);
  const calldata = CallData.compile({ public_key: publicKey });
  const classHash = facts.account_class_hash;
  const address = hash.calculateContractAddressFromHash(publicKey, classHash, calldata, 0);
  await provider.channel.fetchEndpoint("perp_faucet", { account: address, amount: "25" });
  const fresh = new Account({ provider, address, signer: key });
  const sent = await fresh.deployAccount({
    classHash,
    constructorCalldata: calldata,
    addressSalt: publicKey,
  });
  const receipt = await provider.waitForTransaction(sent.transaction_hash, often);
  const paid = await fresh.execute(transfer(first.address, 1));
  await provider.waitForTransaction(paid.transaction_hash, often);
  say("deploysAnAccount", {
    deployed: BigInt(receipt.value.contract_address) === BigInt(address),
    nonce: await fresh.getNonce(),
  });
}

async function declares() {
  const contract = await provider.getClassByHash(facts.token.class_hash);
  const casm = await provider.getCompiledCasm(facts.token.class_hash);
  const declared = await account.declare({ contract, casm });
  await provider.waitForTransaction(declared.transaction_hash, often);
  const foreign = { ...contract, sierra_program: ["0x1", "0x2"] };
  const refused = await account.declare({ contract: foreign, casm }).catch((error) => error);
  say("declares", { class_hash: declared.class_hash, refused: refused.baseError });
}

async function isRefused() {
  const none = { max_amount: 0n, max_price_per_unit: 0n };
  const resourceBounds = { l1_gas: none, l2_gas: none, l1_data_gas: none };
  const call = transfer(second.address, 1);
  const numbers = [];
  for (const details of [{ nonce: 0 }, { nonce: 0, resourceBounds, tip: 1n }]) {
    const refused = await account.execute(call, details).catch((error) => error);
    numbers.push(refused.baseError.code);
  }
  say("isRefused", { numbers });
}

class Heard {
  told = [];
  waiting = [];

  constructor(subscription) {
    subscription.on((found) => {
      this.told.push(found);
      this.waiting.splice(0).forEach((resolve) => resolve());
    });
  }

  async until(wanted) {
    for (;;) {
      const found = this.told.find(wanted);
      if (found) return found;
      await new Promise((resolve) => this.waiting.push(resolve));
    }
  }
}

async function subscribes() {
  const channel = new WebSocketChannel({ nodeUrl: facts.ws });
  await channel.waitForConnection();
  const subscriptions = [
    await channel.subscribeNewHeads(),
    await channel.subscribeEvents({ fromAddress: facts.exchange.address }),
  ];
  const [heads, events] = subscriptions.map((each) => new Heard(each));
  const sent = await account.execute(transfer(second.address, 9));
  const event = await events.until((found) => found.transaction_hash === sent.transaction_hash);
  const head = await heads.until((found) => found.block_number === event.block_number);
  say("subscribes", { event: event.block_hash, head: head.block_hash });
  // It hands a reorg to the handlers of each subscription, as any other message.
  const isReorg = (found) => "starting_block_hash" in found;
  const [one, other] = [await heads.until(isReorg), await events.until(isReorg)];
  say("hearsAReorg", { one, other });
  say("unsubscribes", { done: await Promise.all(subscriptions.map((each) => each.unsubscribe())) });
  channel.disconnect();
  await channel.waitForDisconnection();
}

await connects();
await executes();
await usesContracts();
await deploysAnAccount();
await declares();
await isRefused();
await subscribes();

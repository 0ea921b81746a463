// Deploys the inputs of a serverless.yml with Tencent's own toolkit: node deploy_with_toolkit.js <folder of node_modules> <inputs as JSON>
const { Scf } = require(`${process.argv[2]}/node_modules/tencent-component-toolkit`);
const inputs = JSON.parse(process.argv[3]);

console.log = () => {};
new Scf({ SecretId: 'id', SecretKey: 'key', AppId: '1250000000' }, inputs.region)
  .deploy(inputs)
  .then(() => process.exit(0))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });

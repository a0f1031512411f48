// Command pulumi-resource-github serves the GitHub resources of the Terraform provider to Pulumi's engine.
//
// It stands in where the released plugin cannot be downloaded: the same upstream provider behind the same bridge, with
// the token mapping that the released plugin uses for the resources of this project.
package main

import (
	"github.com/integrations/terraform-provider-github/v6/github"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// version is the released plugin this one answers for; the build sets it (toolchain/pins.py).
var version = "6.15.0"

func main() {
	info := tfbridge.ProviderInfo{
		P:            shimv2.NewProvider(github.NewProvider(version, "")()),
		Name:         "github",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
	}
	info.MustComputeTokens(tokens.SingleModule("github_", "index", tokens.MakeStandard("github")))
	tfbridge.Main("github", version, info, []byte("{}"))
}

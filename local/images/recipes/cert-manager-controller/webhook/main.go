// cert-manager's webhook, from the upstream's packages, whose own main is not published (docs/adr/0047).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"

	config "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	"github.com/cert-manager/cert-manager/internal/webhook"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	fromfile "github.com/cert-manager/cert-manager/pkg/util/configfile"
	"github.com/cert-manager/cert-manager/pkg/webhook/configfile"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
)

func main() {
	if err := start(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(arguments []string) error {
	chosen, err := configuration(arguments)
	if err != nil {
		return err
	}
	logf.InitLogs()
	defer logf.FlushLogs()
	if err := logf.ValidateAndApply(&chosen.Logging); err != nil {
		return err
	}
	ctrl.SetLogger(logf.Log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server, err := webhook.NewCertManagerWebhookServer(logf.Log, *chosen)
	if err != nil {
		return err
	}
	return server.Run(logf.NewContext(ctx, logf.Log, "webhook"))
}

// The file that --config names, or the upstream's defaults, with what the other arguments say on top.
func configuration(arguments []string) (*config.WebhookConfiguration, error) {
	chosen, err := options.NewWebhookConfiguration()
	if err != nil {
		return nil, err
	}
	var own options.WebhookFlags
	if err := flags(chosen, &own).Parse(arguments); err != nil || own.Config == "" {
		return chosen, err
	}
	loader, err := fromfile.NewConfigurationFSLoader(nil, own.Config)
	if err != nil {
		return nil, err
	}
	read := configfile.New()
	if err := loader.Load(read); err != nil {
		return nil, err
	}
	return read.Config, flags(read.Config, &own).Parse(arguments)
}

func flags(chosen *config.WebhookConfiguration, own *options.WebhookFlags) *pflag.FlagSet {
	set := pflag.NewFlagSet("webhook", pflag.ContinueOnError)
	own.AddFlags(set)
	options.AddConfigFlags(set, chosen)
	return set
}
